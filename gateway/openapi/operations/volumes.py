"""Volumes."""

from __future__ import annotations

from typing import Final

from gateway.manager.volumes import VolumeParameters
from gateway.openapi.answers.volume import FileSystemUsage, VolumeHealth, VolumeList, VolumeMetrics
from gateway.openapi.examples import IN_VOLUME
from gateway.openapi.operations.common import asked, bare, json
from gateway.openapi.operations.operation import Table
from gateway.openapi.refusals import STORAGE, UNSUPPORTED

TABLE: Final[Table] = {
    ("GET", "/volumes"): bare(json(VolumeList, "every volume")),
    ("GET", "/volume/hwinfo"): asked(
        VolumeParameters, IN_VOLUME, json(VolumeHealth, "how it is; a volume that does not work is told here")
    ),
    ("GET", "/volume/performance-metric"): asked(
        VolumeParameters, IN_VOLUME, json(VolumeMetrics, "its figures"), refusals=(*UNSUPPORTED, *STORAGE)
    ),
    ("GET", "/folder/fs-usage"): asked(
        VolumeParameters, IN_VOLUME, json(FileSystemUsage, "its size"), refusals=STORAGE
    ),
}
