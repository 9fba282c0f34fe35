"""Names and bytes of one folder on a mounted file system: the blocking operations, run on the volume's threads."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Concatenate, Final, ParamSpec, TypeVar

from backends.contract import Committed, FileStat, SmallFile, Synced, Tell
from backends.mounted import names, reading, staging, storing
from backends.mounted.appending import MountedStaging
from backends.mounted.beneath import Beneath
from backends.mounted.changes import Change, alone
from backends.mounted.errors import missing, translated
from backends.mounted.helping.resolving import DIRECTORY_AT_ONCE
from backends.mounted.outbox import MountedOutbox
from backends.mounted.read_access import MountedReadAccess
from backends.mounted.read_handle import MountedReadHandle
from backends.mounted.renewal import Renewal
from backends.mounted.room import Room
from backends.patience import Patience
from backends.powers import StagedUpload, WholeUpload
from backends.threads import VolumeThreads
from domain.errors import NotFoundError, PenstockError, Subject
from domain.ids import VFolderId
from domain.paths import RelativePath

P = ParamSpec("P")
T = TypeVar("T")

#: Entries one step of a deletion removes before other calls get their turn.
_DELETE_STEP: Final = 2000


class MountedFiles(MountedReadAccess):
    """File access by a mount point."""

    def __init__(
        self,
        mount: Beneath,
        folder: VFolderId,
        threads: VolumeThreads,
        outbox: MountedOutbox | None = None,
    ) -> None:
        super().__init__(threads, mount)
        self._mount = mount
        self._folder = folder
        self._outbox = outbox

    def _root(self) -> Beneath:
        with translated(self._folder, Subject.VFOLDER):
            try:
                return self._mount.below(self._folder.directory)
            except NotADirectoryError as error:
                raise missing(str(self._folder), Subject.VFOLDER) from error

    async def _change(
        self, name: str, change: Callable[Concatenate[Beneath, P], Change[T]], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Make a change; together with others where the volume has an outbox."""
        begin = self._begin(change, *args, **kwargs)
        if self._outbox is not None:
            return await self._outbox.changes.make(name, begin)

        def make() -> T:
            return alone(begin())

        make.__name__ = name
        return await self._threads.run(make)

    def _begin(
        self, change: Callable[Concatenate[Beneath, P], Change[T]], /, *args: P.args, **kwargs: P.kwargs
    ) -> Callable[[], Change[T]]:
        def begin() -> Change[T]:
            with self._root() as root:
                return (yield from change(root, *args, **kwargs))

        return begin

    def read_at_once(
        self, path: RelativePath, few: Callable[[FileStat], tuple[int, int] | None]
    ) -> bytes | bytearray | None:
        """Read some bytes of a file, if they lie in memory."""
        return reading.read_at_once(self._mount, (*self._folder.directory, *path.parts), few)

    async def store_many(self, session: str, files: Sequence[SmallFile]) -> Sequence[int | None]:
        """Put small files at their places, all on one thread."""
        return await self._run(storing.store_many, session, files)

    async def make_directories(
        self,
        paths: Sequence[RelativePath],
        *,
        parents: bool,
        exist_ok: bool,
        tell: Tell[Sequence[PenstockError | None]] | None = None,
    ) -> Sequence[PenstockError | None]:
        """Make directories, all on one thread."""
        make = partial(names.make_directories, parents=parents, exist_ok=exist_ok)
        return await self._change("make_directories", make, paths, tell)

    async def move(
        self, source: RelativePath, destination: RelativePath, *, tell: Tell[bool] | None = None
    ) -> bool:
        """Rename; tells whether a file was replaced."""
        return await self._change("move", names.move, source, destination, tell)

    async def delete(self, path: RelativePath, *, recursive: bool) -> bool:
        """Remove an entry in steps; False if it was not there. An error tells how many were `removed` before."""
        deletion = names.Deletion(path, recursive=recursive)
        try:
            while not await self._run(deletion.step, _DELETE_STEP):
                pass
        except PenstockError as error:
            if isinstance(error, NotFoundError) and error.subject is Subject.FILE:
                return deletion.removed > 0
            if deletion.removed:
                error.facts = {**error.facts, "removed": deletion.removed}
            raise
        return True

    async def sync_names(self, paths: Collection[RelativePath], *, tell: Tell[None] | None = None) -> None:
        """Make names durable, or that they are gone."""
        await self._change("sync_names", names.settle_names, paths, tell)

    async def create_staging(
        self,
        session: str,
        *,
        destination: RelativePath,
        length: int | None,
        note: bytes = b"",
    ) -> None:
        """Make a staging file; where it is meant for makes no difference on a file system."""
        del destination
        await self._run(staging.create, session, length, note)

    async def place_whole(self, upload: WholeUpload, tell: Tell[None]) -> bool:
        """Put a small file at its place; all on one thread."""
        if self._outbox is None:
            return False
        begin = self._begin(self._outbox.arrivals.place, upload, tell)
        return await self._outbox.changes.make("place_whole", begin, prepares=True)

    async def expect_whole(self, size_bytes: int) -> None:
        """See that there is room for a small file, and a folder."""
        room = Room() if self._outbox is None else self._outbox.room
        if not (room.surely_holds(self._folder, size_bytes) and self._is_surely_there()):
            await self._run(room.check, self._folder, size_bytes)

    def _is_surely_there(self) -> bool:
        """Whether the folder is, as far as can be told without waiting."""
        fd = self._mount.open_at_once(self._folder.directory, DIRECTORY_AT_ONCE)
        if fd is not None:
            os.close(fd)
        return fd is not None

    async def bar_whole(self, session: str) -> None:
        """Have nobody put a begun upload at its place."""
        if self._outbox is not None:
            await self._threads.run(self._outbox.arrivals.bar, session)

    async def is_untouched(self, session: str) -> bool:
        """Whether nothing is there of an upload."""
        is_staged = await self._run(self._is_there, session)
        return not is_staged

    def _is_there(self, root: Beneath, session: str) -> bool:
        is_arriving = self._outbox is not None and session in self._outbox.arrivals.arriving()
        return is_arriving or staging.exists(root, session)

    async def stage_whole(self, session: str, data: bytes, destination: RelativePath) -> Synced:
        """Make a staging file of all its bytes, and sync it; all on one thread."""
        return await self._run(staging.create_whole, session, data, destination)

    async def staging_note(self, session: str) -> bytes:
        """The note of an upload."""
        return await self._run(staging.note_of, session)

    async def stagings(self) -> Sequence[StagedUpload]:
        """Unfinished uploads."""
        return await self._run(staging.stagings)

    async def open_staging(self, session: str, patience: Patience | None = None) -> MountedStaging:
        """Open an upload for appending."""
        threads = self._threads.bounded(patience or Patience())
        opened = await threads.run(self._on_root(staging.open_for_append), session)
        sync = partial(self._on_root(staging.sync), session)
        return MountedStaging(opened, threads, self._mount.mounted.write_unit, sync)

    async def renew_staging(self, session: str, count: int) -> None:
        """Have the first bytes of an upload in another file."""
        renewal = await self._run(Renewal, session)
        try:
            while not await self._threads.run(renewal.step, count):
                pass
            await self._run(renewal.put)
        finally:
            await self._run(renewal.close)

    async def staged_bytes(self, session: str) -> int:
        """Bytes stored so far."""
        return await self._run(staging.staged_bytes, session)

    async def read_staging(self, session: str) -> MountedReadHandle:
        """Open what is stored so far."""
        descriptor, known = await self._run(staging.open_for_reading, session)
        return MountedReadHandle(descriptor, known, self._mount, self._threads)

    async def sync_staging(self, session: str, destination: RelativePath) -> Synced:
        """Make a staged file durable."""
        return await self._run(staging.sync, session, destination)

    async def commit_staging(
        self, session: str, destination: RelativePath, *, sha256: bytes | None = None
    ) -> Committed:
        """Rename a staged file to its destination."""
        return await self._run(staging.commit, session, destination, self._mount, sha256)

    async def discard_staging(self, session: str) -> None:
        """Remove a staging file."""
        await self._run(staging.discard, session)
