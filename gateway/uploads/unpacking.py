"""Unpacking archives on the server: each file whole or not at all, small ones many at a time."""

from __future__ import annotations

import io
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import IO, Final, NamedTuple, Self

import anyio
from anyio import from_thread

from backends.contract import Committed, FileAccess, ReadHandle, SmallFile, Staging
from bus.contract import Bus
from domain.errors import InvalidRequestError, NotFoundError, QuotaExceededError, TooLargeError
from domain.paths import RelativePath
from domain.recent import Recent
from gateway.archive.crew import unpackers
from gateway.archive.unpack import Item, ReadThrough, UnpackLimits, check, items
from gateway.quotas import Quotas
from gateway.uploads.dropping import DropWatch
from gateway.uploads.expansion import Expansion
from gateway.uploads.findings import Findings
from gateway.uploads.session import UploadSession
from gateway.uploads.sessions import Sessions

#: Bytes of the archive read ahead.
_BUFFER_BYTES: Final = 1 << 20
#: Files up to so many bytes are stored together, so many files and bytes at a time.
_SMALL_BYTES: Final = 256 << 10
_TOGETHER: Final = 128
_TOGETHER_BYTES: Final = 4 << 20
#: Archives of which it is remembered here that they are unpacked.
_REMEMBERED: Final = 1000


@dataclass(slots=True)
class Unpacked:
    """What an archive became."""

    files: int = 0
    size_bytes: int = 0
    replaced_bytes: int = 0


class _Archived(NamedTuple):
    """An upload, and where it is unpacked."""

    session_id: str
    #: A token's upload may be begun anew when it is forgotten.
    begun: float
    directory: RelativePath

    @classmethod
    def of(cls, session: UploadSession) -> Self:
        assert session.destination is not None, "a part is unpacked as a part of the whole"
        return cls(session.id, session.begun, session.destination.parent)


class Unpacker:
    """Unpacks stored archives. Done again it does the same again.

    It is not done again for who asks at the same time, or because the upload's record was changed meanwhile.
    """

    def __init__(
        self,
        files: Callable[[UploadSession], FileAccess],
        bus: Bus,
        quotas: Quotas,
        limits: UnpackLimits,
        sessions: Sessions,
    ) -> None:
        self._files = files
        self._limits = limits
        self._sessions = sessions
        self._expansion = Expansion(sessions, quotas)
        self._findings = Findings(bus, limits)
        self._running: dict[str, anyio.Event] = {}
        #: What became of archives that are not finished yet.
        self._done = Recent[_Archived, Unpacked](_REMEMBERED)

    async def unpack(self, session: UploadSession) -> Unpacked:
        """Unpack an upload into the directory it is meant for.

        Raises:
            InvalidRequestError, TooLargeError: it was refused, because of what is in it; the same is told again.
            QuotaExceededError: nothing was unpacked, for want of room.
            BusyError: nothing was unpacked yet: too many others are.
            GoneError: the upload was dropped meanwhile; files unpacked before stay.
            NotFoundError (subject upload): others have finished it meanwhile; likewise.
            PenstockError: the storage failed; likewise.
        """
        archived = _Archived.of(session)
        async with self._alone(session.id):
            done = self._done.get(archived)
            if done is None:
                done = self._done[archived] = await self._unpack(session, archived.directory)
            return done

    def forget(self, session: UploadSession) -> None:
        """Take note that an upload is finished: should its token bring one once more, that is another one."""
        if session.unpack:
            self._done.pop(_Archived.of(session), None)

    @asynccontextmanager
    async def _alone(self, session_id: str) -> AsyncIterator[None]:
        while (running := self._running.get(session_id)) is not None:
            await running.wait()
        over = self._running[session_id] = anyio.Event()
        try:
            yield
        finally:
            del self._running[session_id]
            over.set()

    async def _unpack(self, session: UploadSession, directory: RelativePath) -> Unpacked:
        total = await self._findings.total(session)
        async with unpackers(session.volume).turn():
            handle = await self._files(session).read_staging(session.id)
            archive = _Archive(handle, self._limits, directory, DropWatch(self._sessions, session.id))
            try:
                return await self._read(session, archive, total)
            except (InvalidRequestError, TooLargeError) as error:
                await self._findings.keep(session, error)
                raise
            finally:
                await handle.close()

    async def _read(self, session: UploadSession, archive: _Archive, total: int | None) -> Unpacked:
        crew = unpackers(session.volume)
        if total is None:
            total = await crew.work(archive.check)
        try:
            work = _Work(self._files(session), session.id, archive, total)
            async with self._expansion.reserved(session, total, lambda: work.done.files > 0):
                await crew.work(work.run)
                return work.done
        except QuotaExceededError:
            await self._findings.keep(session, total)
            raise


@dataclass(frozen=True, slots=True)
class _Archive:
    """A stored archive, and where it is to be unpacked."""

    handle: ReadHandle
    limits: UnpackLimits
    directory: RelativePath
    watch: DropWatch

    def check(self) -> int:
        """Look through it. Blocking."""
        with self.opened() as file:
            return check(file, self.handle.stat.size_bytes, self.limits, self.directory)

    def opened(self) -> IO[bytes]:
        """As an open file for blocking libraries, on a thread of the event loop."""
        raw = ReadThrough(self._read, self.handle.stat.size_bytes)
        return io.BufferedReader(raw, _BUFFER_BYTES)

    def _read(self, offset: int, count: int) -> bytes:
        self.watch.look_from_thread()
        return from_thread.run(self.handle.read, offset, count)


class _Work:
    """One archive being unpacked: the thread decompresses, the event loop stores."""

    def __init__(self, files: FileAccess, session: str, archive: _Archive, total: int) -> None:
        self._files = files
        self._session = session
        self._archive = archive
        #: Bytes that may still come: who has the folder mounted could have changed it since it was looked through.
        self._left = total
        #: Small files that are read and not yet stored, and their bytes.
        self._small: list[SmallFile] = []
        self._small_bytes = 0
        self.done = Unpacked()

    def run(self) -> None:
        """Do it all. Blocking."""
        size = self._archive.handle.stat.size_bytes
        with self._archive.opened() as file:
            for item in items(file, size, self._archive.limits):
                self._archive.watch.look_from_thread()
                path = self._archive.directory / item.path
                self._left -= item.size
                if self._left < 0:
                    raise InvalidRequestError("the archive was changed while it was unpacked", field="archive")
                if item.is_directory:
                    if not path.is_root:
                        from_thread.run(self._make_directory, path)
                elif item.size <= _SMALL_BYTES:
                    self._keep(SmallFile(path, b"".join(item.pieces())))
                else:
                    self._large(path, item)
            self._store_kept()

    def _keep(self, file: SmallFile) -> None:
        if len(self._small) >= _TOGETHER or self._small_bytes + len(file.data) > _TOGETHER_BYTES:
            self._store_kept()
        self._small.append(file)
        self._small_bytes += len(file.data)

    def _store_kept(self) -> None:
        files, self._small, self._small_bytes = self._small, [], 0
        if not files:
            return
        for file, replaced in zip(files, from_thread.run(self._store, files), strict=True):
            self._stored(len(file.data), replaced)

    def _large(self, path: RelativePath, item: Item) -> None:
        # What a crash leaves of it goes with the archive; somebody else may be unpacking that at the same time.
        part = f"{self._session}{secrets.token_hex(16)}"
        staging = from_thread.run(self._begin, part, path, item.size)
        try:
            for piece in item.pieces():
                self._archive.watch.look_from_thread()
                from_thread.run(staging.append, [piece])
        except BaseException:
            from_thread.run(self._drop, part, staging)
            raise
        committed = from_thread.run(self._commit, part, staging, path)
        self._stored(committed.size_bytes, committed.replaced_bytes)

    def _stored(self, size: int, replaced: int | None) -> None:
        self.done.files += 1
        self.done.size_bytes += size
        self.done.replaced_bytes += replaced or 0

    async def _make_directory(self, path: RelativePath) -> None:
        await self._archive.watch.look_for_others()
        (failure,) = await self._files.make_directories([path], parents=True, exist_ok=True)
        if failure is not None:
            raise failure

    async def _store(self, files: Sequence[SmallFile]) -> Sequence[int | None]:
        await self._archive.watch.look_for_others()
        return await self._files.store_many(self._session, files)

    async def _begin(self, part: str, path: RelativePath, size: int) -> Staging:
        await self._files.create_staging(part, destination=path, length=size)
        return await self._files.open_staging(part)

    async def _drop(self, part: str, staging: Staging) -> None:
        await staging.close()
        try:
            await self._files.discard_staging(part)
        except NotFoundError:
            return

    async def _commit(self, part: str, staging: Staging, path: RelativePath) -> Committed:
        await staging.close()
        try:
            await self._files.sync_staging(part, path)
            await self._archive.watch.look_for_others()
            return await self._files.commit_staging(part, path)
        except BaseException:
            await self._files.discard_staging(part)
            raise
