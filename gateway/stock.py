"""What downloads are sent from."""

from __future__ import annotations

from dataclasses import dataclass

from backends.contract import ReadAccess
from domain.ids import VolumeName


@dataclass(frozen=True, slots=True)
class Stock:
    """A folder of a volume, or a directory outside of all volumes."""

    files: ReadAccess
    #: As whose its bytes are counted.
    volume: VolumeName
