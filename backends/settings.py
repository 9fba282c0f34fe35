"""What can be set about a volume, whatever its driver."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from domain.bounds import Seconds


class ThreadSettings(BaseModel):
    """Limits of the blocking calls on one volume."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    threads: int = Field(16, ge=1, le=512, description="blocking calls on this volume that run at once")
    waiting: int = Field(
        1024,
        ge=1,
        description="blocking calls on this volume that may wait for a thread; more are refused",
    )
    scans: int = Field(
        1,
        ge=1,
        le=64,
        description="directories of this volume listed at once; more help only where entries are waited for, "
        "as over a slow network",
    )
    helpers: int = Field(
        2,
        ge=0,
        le=32,
        description="processes that copy the small files of one clone, or count one large folder, side by side; "
        "below 2: there is no other than the one that was asked",
    )
    timeout_seconds: Seconds = Field(
        60.0,
        gt=0,
        description="longest time one blocking call may take before the volume is unavailable, in seconds",
    )


class VolumeSettings(BaseModel):
    """One volume. Keys not listed here belong to the driver."""

    model_config = ConfigDict(extra="allow", frozen=True)

    backend: str = Field(description="name of the driver, e.g. `vfs`")
    io: ThreadSettings = Field(default_factory=ThreadSettings, description="limits of its blocking calls")

    @property
    def options(self) -> dict[str, Any]:
        """The driver's own keys."""
        return dict(self.model_extra or {})
