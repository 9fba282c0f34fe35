"""Backend `vfs`: a plain directory of any mounted file system.

Limits of quota scopes are kept on the volume and enforced by counting, at upload and at creation of folders.
What containers write into a mounted folder is not held back; it shows at the next count.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
from pydantic import BaseModel, ConfigDict, Field, field_validator

from backends.mounted.beneath import Beneath, open_root
from backends.mounted.errors import translated
from backends.registry import Driver, Site
from backends.vfs.volume import VfsVolume
from domain.errors import Subject


class VfsSettings(BaseModel):
    """Keys of a `vfs` volume."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: Path = Field(description="absolute path of the directory that holds the folders; must exist")

    @field_validator("path")
    @classmethod
    def _absolute(cls, path: Path) -> Path:
        if not path.is_absolute():
            raise ValueError("must be an absolute path")
        return path


@asynccontextmanager
async def open_volume(site: Site) -> AsyncIterator[VfsVolume]:
    """Open a volume; its area is made if it is not there."""
    settings = site.parse(VfsSettings)
    threads = site.threads()
    mount: Beneath | None = None
    volume: VfsVolume | None = None
    try:
        with translated(site.name, Subject.VOLUME):
            mount = await threads.run(open_root, settings.path)
        volume = VfsVolume(site.name, settings.path, mount, threads)
        await volume.prepare()
        yield volume
    finally:
        with anyio.CancelScope(shield=True):
            await threads.close()
        for opened in (volume, mount):
            if opened is not None:
                opened.close()


DRIVER = Driver(VfsSettings, open_volume)
