"""Unpacking archives on the server, file by file, each whole or not at all."""

from __future__ import annotations

import io
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, Final

from anyio import from_thread, to_thread

from backends.contract import FileAccess, ReadHandle, Staging
from domain.errors import NotFoundError
from domain.paths import RelativePath
from gateway.archive.unpack import Item, ReadThrough, UnpackLimits, check, items
from gateway.quotas import Quotas
from gateway.uploads.session import UploadSession

#: Bytes of the archive read ahead.
_BUFFER_BYTES: Final = 1 << 20


@dataclass(slots=True)
class Unpacked:
    """What an archive became."""

    files: int = 0
    size_bytes: int = 0
    replaced_bytes: int = 0


class Unpacker:
    """Unpacks stored archives. Done again it does the same again."""

    def __init__(self, files: Callable[[UploadSession], FileAccess], quotas: Quotas, limits: UnpackLimits) -> None:
        self._files = files
        self._quotas = quotas
        self._limits = limits

    async def unpack(self, session: UploadSession) -> Unpacked:
        """Unpack an upload into the directory it is meant for.

        Raises:
            InvalidRequestError, TooLargeError: nothing was unpacked, because of what is in it.
            QuotaExceededError: nothing was unpacked, for want of room.
            PenstockError: the storage failed; files unpacked before stay.
        """
        assert session.destination is not None, "a part is unpacked as a part of the whole"
        handle = await self._files(session).read_staging(session.id)
        try:
            total = await to_thread.run_sync(self._check, handle)
            await self._quotas.confirm_more(session, total)
            work = _Work(self._files(session), session.destination.parent)
            await to_thread.run_sync(work.run, handle)
            return work.done
        finally:
            await handle.close()

    def _check(self, handle: ReadHandle) -> int:
        with _opened(handle) as file:
            return check(file, handle.stat.size_bytes, self._limits)


def _opened(handle: ReadHandle) -> IO[bytes]:
    """An open file for blocking libraries on a thread of the event loop."""

    def read(offset: int, count: int) -> bytes:
        return from_thread.run(handle.read, offset, count)

    raw = ReadThrough(read, handle.stat.size_bytes)
    return io.BufferedReader(raw, _BUFFER_BYTES)


class _Work:
    """One archive being unpacked: the thread decompresses, the event loop stores."""

    def __init__(self, files: FileAccess, directory: RelativePath) -> None:
        self._files = files
        self._directory = directory
        self.done = Unpacked()

    def run(self, handle: ReadHandle) -> None:
        """Do it all. Blocking."""
        with _opened(handle) as file:
            for item in items(file):
                path = self._directory / item.path
                if item.is_directory:
                    if not path.is_root:
                        from_thread.run(self._make_directory, path)
                else:
                    self._file(path, item)

    def _file(self, path: RelativePath, item: Item) -> None:
        session = secrets.token_hex(16)
        staging = from_thread.run(self._begin, session, path, item.size)
        try:
            for piece in item.pieces():
                from_thread.run(staging.append, [piece])
        except BaseException:
            from_thread.run(self._drop, session, staging)
            raise
        from_thread.run(self._commit, session, staging, path)

    async def _make_directory(self, path: RelativePath) -> None:
        await self._files.make_directory(path, parents=True, exist_ok=True)

    async def _begin(self, session: str, path: RelativePath, size: int) -> Staging:
        await self._files.create_staging(session, destination=path, length=size)
        return await self._files.open_staging(session)

    async def _drop(self, session: str, staging: Staging) -> None:
        await staging.close()
        try:
            await self._files.discard_staging(session)
        except NotFoundError:
            return

    async def _commit(self, session: str, staging: Staging, path: RelativePath) -> None:
        await staging.close()
        try:
            committed = await self._files.commit_staging(session, path)
        except BaseException:
            await self._files.discard_staging(session)
            raise
        self.done.files += 1
        self.done.size_bytes += committed.size_bytes
        self.done.replaced_bytes += committed.replaced_bytes or 0
