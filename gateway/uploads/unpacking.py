"""Unpacking archives on the server: each file whole or not at all, small ones many at a time."""

from __future__ import annotations

import io
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import IO, Final

from anyio import from_thread, to_thread

from backends.contract import Committed, FileAccess, ReadHandle, SmallFile, Staging
from domain.errors import NotFoundError
from domain.paths import RelativePath
from gateway.archive.unpack import Item, ReadThrough, UnpackLimits, check, items
from gateway.quotas import Quotas
from gateway.uploads.session import UploadSession

#: Bytes of the archive read ahead.
_BUFFER_BYTES: Final = 1 << 20
#: Files up to so many bytes are stored together, so many files and bytes at a time.
_SMALL_BYTES: Final = 256 << 10
_TOGETHER: Final = 128
_TOGETHER_BYTES: Final = 4 << 20


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
            await self._quotas.judge(session, total)
            work = _Work(self._files(session), session.id, session.destination.parent)
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

    def __init__(self, files: FileAccess, session: str, directory: RelativePath) -> None:
        self._files = files
        self._session = session
        self._directory = directory
        #: Small files that are read and not yet stored, and their bytes.
        self._small: list[SmallFile] = []
        self._small_bytes = 0
        self.done = Unpacked()

    def run(self, handle: ReadHandle) -> None:
        """Do it all. Blocking."""
        with _opened(handle) as file:
            for item in items(file):
                path = self._directory / item.path
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
        (failure,) = await self._files.make_directories([path], parents=True, exist_ok=True)
        if failure is not None:
            raise failure

    async def _store(self, files: Sequence[SmallFile]) -> Sequence[int | None]:
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
            return await self._files.commit_staging(part, path)
        except BaseException:
            await self._files.discard_staging(part)
            raise
