"""File access on either kind of plane."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Sequence
from typing import Final, TypeVar

import anyio
from anyio import to_thread

from backends.contract import (
    Committed,
    EntryKind,
    FileStat,
    Hasher,
    Listing,
    ReadHandle,
    SmallFile,
    SmallRead,
    Synced,
    Tell,
)
from backends.memory.plane import Plane, Stored, conflict
from backends.patience import Patience
from domain.errors import ConflictError, InvalidPathError, NotFoundError, PenstockError, Subject
from domain.paths import RelativePath

T = TypeVar("T")


class MemoryFiles:
    """Names and bytes of one folder in memory."""

    def __init__(self, plane: Callable[[], Plane]) -> None:
        #: Finds the folder anew each time, as a mounted one does; raises NotFoundError.
        self._find = plane

    async def _plane(self) -> Plane:
        await anyio.lowlevel.checkpoint()
        return self._find()

    async def stat(self, path: RelativePath) -> FileStat:
        """Look at an entry."""
        return (await self._plane()).stat(path)

    async def listing(self, path: RelativePath, *, limit: int) -> Listing:
        """List a directory."""
        names = (await self._plane()).names(path)
        return Listing(names[:limit], truncated=len(names) > limit)

    async def open_read(self, path: RelativePath) -> MemoryReadHandle:
        """Open a file."""
        return MemoryReadHandle((await self._plane()).read(path))

    async def open_or_read(
        self, path: RelativePath, few: Callable[[FileStat], tuple[int, int] | None]
    ) -> tuple[FileStat, bytes | ReadHandle]:
        """Open a file, or read some of its bytes."""
        handle = await self.open_read(path)
        wanted = few(handle.stat)
        return handle.stat, handle if wanted is None else await handle.read(*wanted)

    async def read_many(
        self, paths: Sequence[RelativePath], *, max_bytes: int, then: Callable[[Sequence[SmallRead | None]], T]
    ) -> T:
        """Read small files whole."""
        plane = await self._plane()
        found: list[SmallRead | None] = []
        for path in paths:
            try:
                stored = plane.read(path)
            except (NotFoundError, ConflictError):
                found.append(None)
            else:
                found.append((stored.stat, stored.data) if len(stored.data) <= max_bytes else None)
        return await to_thread.run_sync(then, found)

    async def forbidden(self, directory: RelativePath, names: Sequence[str]) -> Collection[str]:
        """Everything may be read."""
        del directory, names
        await anyio.lowlevel.checkpoint()
        return ()

    async def store_many(self, session: str, files: Sequence[SmallFile]) -> Sequence[int | None]:
        """Put small files at their places."""
        replaced: list[int | None] = []
        for file in files:
            part = f"{session}{secrets.token_hex(16)}"
            await self.create_staging(part, destination=file.path, length=len(file.data))
            try:
                staging = await self.open_staging(part)
                await staging.append([file.data])
                replaced.append((await self.commit_staging(part, file.path)).replaced_bytes)
            except BaseException:
                await self.discard_staging(part)
                raise
        return replaced

    async def make_directories(
        self,
        paths: Sequence[RelativePath],
        *,
        parents: bool,
        exist_ok: bool,
        tell: Tell[Sequence[PenstockError | None]] | None = None,
    ) -> Sequence[PenstockError | None]:
        """Make directories."""
        del tell
        plane = await self._plane()
        failures: list[PenstockError | None] = []
        for path in paths:
            try:
                self._make_directory(plane, path, parents=parents, exist_ok=exist_ok)
            except PenstockError as error:
                failures.append(error)
            else:
                failures.append(None)
        return failures

    @staticmethod
    def _make_directory(plane: Plane, path: RelativePath, *, parents: bool, exist_ok: bool) -> None:
        if parents and not path.is_root:
            for depth in range(1, len(path.parts)):
                parent = RelativePath(path.parts[:depth])
                if not _is_there(plane, parent):
                    plane.make_directory(parent)
        if exist_ok and _is_there(plane, path) and plane.stat(path).kind is EntryKind.DIRECTORY:
            return
        plane.make_directory(path)

    async def move(
        self, source: RelativePath, destination: RelativePath, *, tell: Tell[bool] | None = None
    ) -> bool:
        """Give an entry another place; tells whether a file was replaced."""
        del tell
        plane = await self._plane()
        if source.is_root or destination.is_root:
            raise InvalidPathError("the folder itself cannot be changed this way", subject=Subject.FILE)
        moved = plane.stat(source)
        if source == destination:
            return False
        if destination.is_within(source):
            raise conflict("into-itself", destination)
        replaced = _is_there(plane, destination)
        if replaced and plane.stat(destination).kind is EntryKind.DIRECTORY:
            raise conflict("is-a-directory", destination)
        if replaced and moved.kind is EntryKind.DIRECTORY:
            raise conflict("exists", destination)
        plane.move(source, destination)
        return replaced

    async def delete(self, path: RelativePath, *, recursive: bool) -> bool:
        """Remove an entry; False if it was not there."""
        plane = await self._plane()
        if not _is_there(plane, path):
            return False
        if plane.stat(path).kind is EntryKind.DIRECTORY and not recursive:
            raise conflict("is-a-directory", path)
        plane.remove(path)
        return True

    async def sync_names(self, paths: Collection[RelativePath], *, tell: Tell[None] | None = None) -> None:
        """Memory keeps nothing apart from its disk."""

    async def create_staging(
        self,
        session: str,
        *,
        destination: RelativePath,
        length: int | None,
        note: bytes = b"",
    ) -> None:
        """Begin an upload."""
        del length
        plane = await self._plane()
        plane.begin(session, destination)
        plane.notes.setdefault(session, note)

    async def stage_whole(self, session: str, data: bytes, destination: RelativePath) -> Synced:
        """Begin an upload with all its bytes."""
        plane = await self._plane()
        replaced = plane.check_target(destination)
        plane.begin(session, destination)
        try:
            return Synced(plane.append(session, data), replaced)
        except PenstockError:
            plane.abort(session)
            raise

    async def staging_note(self, session: str) -> bytes:
        """The note of an upload."""
        plane = await self._plane()
        plane.staged(session)
        return plane.notes.get(session, b"")

    async def open_staging(self, session: str, patience: Patience | None = None) -> MemoryStaging:
        """Open an upload for appending; nobody ever waits."""
        plane = await self._plane()
        return MemoryStaging(plane, session, plane.staged(session))

    async def renew_staging(self, session: str, count: int) -> None:
        """Drop what is behind the first bytes; nothing is ever on its way."""
        (await self._plane()).truncate(session, count)

    async def staged_bytes(self, session: str) -> int:
        """Bytes stored so far."""
        return (await self._plane()).staged(session)

    async def read_staging(self, session: str) -> MemoryReadHandle:
        """Open what is stored so far."""
        return MemoryReadHandle(Stored((await self._plane()).staged_data(session)))

    async def sync_staging(self, session: str, destination: RelativePath) -> Synced:
        """Nothing here outlives a power failure; tell what would be replaced."""
        plane = await self._plane()
        return Synced(plane.staged(session), plane.check_target(destination))

    async def commit_staging(
        self, session: str, destination: RelativePath, *, sha256: bytes | None = None
    ) -> Committed:
        """Finish an upload."""
        plane = await self._plane()
        if destination.is_root:
            raise InvalidPathError("the folder itself cannot be changed this way", subject=Subject.FILE)
        return plane.commit(session, destination, sha256)

    async def discard_staging(self, session: str) -> None:
        """Drop an upload."""
        (await self._plane()).abort(session)


class MemoryReadHandle:
    """An open file: its bytes as they were."""

    def __init__(self, stored: Stored) -> None:
        self._data = stored.data
        self._digests = stored.digests
        self.stat = stored.stat

    async def read(self, offset: int, count: int) -> bytes:
        """Read up to `count` bytes."""
        await anyio.lowlevel.checkpoint()
        return self._data[offset : offset + count]

    async def is_unchanged(self) -> bool:
        """It is: what is written takes the place of what was there."""
        await anyio.lowlevel.checkpoint()
        return True

    async def sha256(self) -> bytes | None:
        """The digest that was kept."""
        await anyio.lowlevel.checkpoint()
        return self._digests[0] if self._digests else None

    async def keep_sha256(self, digest: bytes) -> None:
        """Keep a digest."""
        await anyio.lowlevel.checkpoint()
        self._digests[:] = [digest]

    async def close(self) -> None:
        """Give it back."""
        await anyio.lowlevel.checkpoint()


class MemoryStaging:
    """An upload open for appending."""

    #: Nothing here takes time.
    is_stuck: Final = False

    def __init__(self, plane: Plane, session: str, offset: int) -> None:
        self._plane = plane
        self._session = session
        self.offset = offset
        self.hashers: list[Hasher] = []

    async def append(self, chunks: Sequence[bytes]) -> None:
        """Add bytes."""
        await anyio.lowlevel.checkpoint()
        before, data = self.offset, b"".join(chunks)
        try:
            self._plane.append(self._session, data)
        finally:
            self.offset = self._plane.staged(self._session)
            for hasher in self.hashers:
                hasher.update(data[: self.offset - before])

    async def append_last(self, chunks: Sequence[bytes], destination: RelativePath) -> Synced:
        """Add bytes; tell what would be replaced."""
        await self.append(chunks)
        return Synced(self.offset, self._plane.check_target(destination))

    async def truncate(self, offset: int) -> None:
        """Drop what is behind an offset."""
        await anyio.lowlevel.checkpoint()
        self._plane.truncate(self._session, offset)
        self.offset = self._plane.staged(self._session)

    async def close(self) -> None:
        """Give it back."""
        await anyio.lowlevel.checkpoint()


def _is_there(plane: Plane, path: RelativePath) -> bool:
    try:
        plane.stat(path)
    except NotFoundError:
        return False
    return True
