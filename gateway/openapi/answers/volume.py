"""Volumes."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from pydantic import Field

from backends.powers import Capability
from domain.usage import HealthStatus
from gateway.openapi.answers.answer import Answer, Count


class _VolumeFacts(Answer):
    backend: str = Field(description="name of its driver")
    path: str = Field(description="absolute path on the hosts that mount it; empty: nobody does")
    fsprefix: str
    capabilities: list[Capability]


class ListedVolume(_VolumeFacts):
    """A volume in the list of all."""

    name: str


class VolumeList(Answer):
    """Every volume."""

    volumes: list[ListedVolume]


class NamedVolume(_VolumeFacts):
    """A volume that was asked for."""

    volume_id: UUID = Field(description="stands for its name in paths")


class VolumeItem(Answer):
    """One volume."""

    item: NamedVolume


class VolumeHealth(Answer):
    """How a volume is, found out by trying."""

    status: HealthStatus
    status_info: str | None = Field(description="what is wrong, in words; null: nothing")
    metadata: dict[str, str]


class VolumeMetrics(Answer):
    """What a volume's storage measures of itself."""

    metric: dict[str, float] = Field(description="figures by name, with the unit at its end")
    observed_at: datetime


class FileSystemUsage(Answer):
    """Size of a volume's file system."""

    capacity_bytes: Count
    used_bytes: Count = Field(description="what is taken, by anyone")
