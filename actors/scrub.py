"""Reading every file that has a digest, and telling which are not any more what they were."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final

from backends.contract import FileStat, Volume
from backends.integrity import Integrity, Verified, verify
from backends.walk import NOT_NOW, walk_files
from bus.contract import Bus
from domain.envelope import wrap_event
from domain.errors import ConflictError, NotFoundError, PenstockError
from domain.events import FileDamaged
from domain.ids import VFolderId
from domain.paths import ROOT, RelativePath

Row = dict[str, Any]

#: How a file or directory was found that cannot be read; such a row has an entry of this name, which tells why.
UNREADABLE: Final = "unreadable"


@dataclass(frozen=True, slots=True)
class Scrubbed:
    """A file that was looked at, or a directory that cannot be."""

    #: An `Integrity`, or UNREADABLE.
    found: str
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
        self.found: Counter[str] = Counter()
        self.read_bytes = 0

    async def volume(self, volume: Volume, only: VFolderId | None = None) -> AsyncIterator[Row]:
        """What is damaged, and what cannot be read. Raises as `folder`.

        Args:
            only: the one folder to look at; NotFoundError if it is not there.
        """
        if only is not None:
            await see_folder(volume, only)
        async for folder in _folders(volume, only):
            async for file in self.folder(volume, folder):
                if file.row is not None:
                    yield file.row

    async def folder(self, volume: Volume, folder: VFolderId) -> AsyncIterator[Scrubbed]:
        """The files of a folder; damage is told.

        Raises:
            BackendUnavailableError, BusyError, DeadlineExceededError: the storage does not answer now.
            BusError: damage could not be told.
        """
        try:
            async for path, known in walk_files(volume.files(folder)):
                found = await self._looked_at(volume, folder, path, known)
                if found is not None:
                    self.found[found.found] += 1
                    self.read_bytes += found.read_bytes
                    yield found
        except NotFoundError:
            return  # the folder was deleted meanwhile

    async def _looked_at(
        self, volume: Volume, folder: VFolderId, path: RelativePath, known: FileStat | PenstockError
    ) -> Scrubbed | None:
        """How a file is; None: it has gone."""
        if isinstance(known, PenstockError):
            return _unreadable(volume, folder, path, known)
        try:
            read = await self._read(volume, folder, path)
        except (NotFoundError, ConflictError):
            return None
        except NOT_NOW:
            raise
        except PenstockError as error:
            return _unreadable(volume, folder, path, error)
        if read is None:
            return Scrubbed(Integrity.UNKNOWN)
        verified, size = read
        damaged = verified.integrity is Integrity.DAMAGED
        row = await self._damaged(volume, folder, path, verified) if damaged else None
        return Scrubbed(verified.integrity, size, row)

    async def _read(self, volume: Volume, folder: VFolderId, path: RelativePath) -> tuple[Verified, int] | None:
        """Read a file, of so many bytes; None: there is no digest to compare with."""
        handle = await volume.files(folder).open_read(path)
        try:
            if not self._keep and await handle.sha256() is None:
                return None
            return await verify(handle, keep=self._keep), handle.stat.size_bytes
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
        return {**_place(volume, folder, path), "kept_sha256": kept, "found_sha256": verified.sha256.hex()}


async def see_folder(volume: Volume, folder: VFolderId) -> None:
    """See that a folder is there, of which nothing would be found otherwise. Raises NotFoundError if it is not."""
    await volume.files(folder).stat(ROOT)


def _unreadable(volume: Volume, folder: VFolderId, path: RelativePath, error: PenstockError) -> Scrubbed:
    return Scrubbed(UNREADABLE, row={**_place(volume, folder, path), UNREADABLE: error.message})


def _place(volume: Volume, folder: VFolderId, path: RelativePath) -> Row:
    return {"volume": volume.name, "vfid": str(folder), "path": str(path)}


async def _folders(volume: Volume, only: VFolderId | None) -> AsyncIterator[VFolderId]:
    if only is not None:
        yield only
        return
    async for folder in volume.folders():
        yield folder
