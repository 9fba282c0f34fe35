"""`penstock scrub`: read every file that has a digest, and tell which are not any more what they were."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
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
        if only is not None:
            async for row in self._folder(volume, only):
                yield row
            return
        async for folder in volume.folders():
            async for row in self._folder(volume, folder):
                yield row

    async def _folder(self, volume: Volume, folder: VFolderId) -> AsyncIterator[Row]:
        try:
            async for path, _ in walk_files(volume.files(folder)):
                verified = await self._file(volume, folder, path)
                if verified is not None and verified.integrity is Integrity.DAMAGED:
                    yield await self._damaged(volume, folder, path, verified)
        except NotFoundError:
            return  # the folder was deleted meanwhile

    async def _file(self, volume: Volume, folder: VFolderId, path: RelativePath) -> Verified | None:
        try:
            handle = await volume.files(folder).open_read(path)
        except (NotFoundError, ConflictError):
            return None
        try:
            if not self._keep and await handle.sha256() is None:
                self.found[Integrity.UNKNOWN] += 1
                return None
            verified = await verify(handle, keep=self._keep)
            self.found[verified.integrity] += 1
            self.read_bytes += handle.stat.size_bytes
            return verified
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
