"""Reading every file that has a digest, and telling which are not any more what they were."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from backends.contract import Volume
from backends.integrity import Integrity, Verified, verify
from backends.walk import walk_files
from bus.contract import Bus
from domain.envelope import wrap_event
from domain.errors import ConflictError, NotFoundError
from domain.events import FileDamaged
from domain.ids import VFolderId
from domain.paths import RelativePath

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Scrubbed:
    """A file that was looked at."""

    integrity: Integrity
    read_bytes: int = 0
    #: What is wrong with it; None: nothing.
    row: Row | None = None


class Scrub:
    """One pass over volumes.

    Args:
        bus: where damage is told; None: nowhere but here.
        keep: keep digests of files that have none.
    """

    def __init__(self, bus: Bus | None, *, keep: bool) -> None:
        self._bus = bus
        self._keep = keep
        #: How many files were found how.
        self.found: Counter[Integrity] = Counter()
        self.read_bytes = 0

    async def volume(self, volume: Volume, only: VFolderId | None = None) -> AsyncIterator[Row]:
        """Files that are damaged."""
        async for folder in _folders(volume, only):
            async for file in self.folder(volume, folder):
                if file.row is not None:
                    yield file.row

    async def folder(self, volume: Volume, folder: VFolderId) -> AsyncIterator[Scrubbed]:
        """The files of a folder; damage is told."""
        try:
            async for path, _ in walk_files(volume.files(folder)):
                found = await self._file(volume, folder, path)
                if found is not None:
                    self.found[found.integrity] += 1
                    self.read_bytes += found.read_bytes
                    yield found
        except NotFoundError:
            return  # the folder was deleted meanwhile

    async def _file(self, volume: Volume, folder: VFolderId, path: RelativePath) -> Scrubbed | None:
        try:
            handle = await volume.files(folder).open_read(path)
        except (NotFoundError, ConflictError):
            return None
        try:
            if not self._keep and await handle.sha256() is None:
                return Scrubbed(Integrity.UNKNOWN)
            verified = await verify(handle, keep=self._keep)
            damaged = verified.integrity is Integrity.DAMAGED
            row = await self._damaged(volume, folder, path, verified) if damaged else None
            return Scrubbed(verified.integrity, handle.stat.size_bytes, row)
        finally:
            await handle.close()

    async def _damaged(self, volume: Volume, folder: VFolderId, path: RelativePath, verified: Verified) -> Row:
        kept = verified.kept.hex() if verified.kept else ""
        event = FileDamaged(
            volume=volume.name,
            folder=folder,
            path=str(path),
            kept_sha256=kept,
            found_sha256=verified.sha256.hex(),
        )
        if self._bus is not None:
            clock = self._bus.clock
            await self._bus.events.publish(wrap_event(event, id=clock.new_id(), time=clock.now()))
        return {
            "volume": volume.name,
            "vfid": str(folder),
            "path": str(path),
            "kept_sha256": kept,
            "found_sha256": verified.sha256.hex(),
        }


async def _folders(volume: Volume, only: VFolderId | None) -> AsyncIterator[VFolderId]:
    if only is not None:
        yield only
        return
    async for folder in volume.folders():
        yield folder
