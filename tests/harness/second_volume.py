"""Another volume beside the one of a world."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

from harness.world import FOLDER, PLACE, World, open_vfs

from backends.contract import Operation
from backends.observer import SilentObserver
from backends.registry import Site
from backends.settings import ThreadSettings
from domain.ids import VFolderId, VolumeName
from gateway.archive.faults import Faults
from gateway.archive.layout import Checksums

NAME = VolumeName("other")


@asynccontextmanager
async def second_volume(world: World, path: Path) -> AsyncIterator[Path]:
    """The volume `other` in an empty directory, with the same folder as the world's own; gives where that lies."""
    async with open_vfs(Site(NAME, {"path": str(path)}, ThreadSettings(), SilentObserver())) as volume:
        folder = VFolderId.parse(FOLDER)
        assert folder.scope is not None
        await volume.ensure_scope(Operation(UUID(int=1)), folder.scope)
        await volume.create_folder(Operation(UUID(int=2)), folder, 0o755)
        world.gate.volumes[NAME] = volume
        world.gate.checksums[NAME] = Checksums()
        world.gate.faults[NAME] = Faults()
        try:
            yield path / PLACE
        finally:
            del world.gate.volumes[NAME]
            del world.gate.checksums[NAME]
            del world.gate.faults[NAME]
