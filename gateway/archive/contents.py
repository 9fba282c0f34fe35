"""The bytes of members, read so that many small files cost little."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

from anyio import to_thread

from backends.contract import FileAccess, FileStat, ReadHandle
from domain.errors import BackendFaultError, ConflictError, NotFoundError, Subject
from gateway.archive.manifest import Member

#: Files up to this size are read whole, many in one go.
_SMALL_BYTES: Final = 256 << 10
#: Bytes and files read ahead at once.
_AHEAD_BYTES: Final = 4 << 20
_AHEAD_FILES: Final = 256
#: Bytes of a large file read at once.
_READ_BYTES: Final = 1 << 20


class ChangedError(BackendFaultError):
    """A file is not any more what it was when the archive was planned."""


class Contents:
    """Reads members one after the other, in the order of a manifest.

    Args:
        sums: whether the CRC-32 of small ones is wanted.
    """

    def __init__(self, files: FileAccess, members: Sequence[Member], *, sums: bool = False) -> None:
        self._files = files
        self._members = members
        self._sums = sums
        self._ahead: dict[int, tuple[bytes, int] | None] = {}

    async def pieces(self, index: int, start: int, end: int) -> AsyncIterator[bytes]:
        """Bytes of a member from `start` up to `end`.

        Raises:
            ChangedError: it is gone, or another one.
        """
        member = self._members[index]
        if start >= end:
            return
        if member.data is not None:
            yield member.data[start:end]
        elif self.is_small(index):
            data, _ = await self.small(index)
            yield data[start:end]
        else:
            async with self.opened(member) as handle:
                while start < end:
                    piece = await handle.read(start, min(_READ_BYTES, end - start))
                    if not piece:
                        raise _changed(member)
                    start += len(piece)
                    yield piece

    @asynccontextmanager
    async def opened(self, member: Member) -> AsyncIterator[ReadHandle]:
        """A member's file, if it still is the one of the manifest. Raises ChangedError."""
        try:
            handle = await self._files.open_read(member.path)
        except (NotFoundError, ConflictError) as error:
            raise _changed(member) from error
        try:
            if not _is_same(handle.stat, member):
                raise _changed(member)
            yield handle
        finally:
            await handle.close()

    def is_small(self, index: int) -> bool:
        """Whether a member's bytes are read in one go, with those of others."""
        member = self._members[index]
        return member.data is None and 0 < member.size <= _SMALL_BYTES

    async def small(self, index: int) -> tuple[bytes, int]:
        """All bytes of a small member, and their CRC-32 if it is wanted. Raises ChangedError."""
        if index not in self._ahead:
            await self._read_ahead(index)
        found = self._ahead.pop(index)
        if found is None:
            raise _changed(self._members[index])
        return found

    async def _read_ahead(self, index: int) -> None:
        """Read this small file and those that follow, up to a few MiB."""
        wanted: list[int] = []
        room = _AHEAD_BYTES
        for number in range(index, min(index + _AHEAD_FILES, len(self._members))):
            member = self._members[number]
            if self.is_small(number) and member.size <= room:
                wanted.append(number)
                room -= member.size
        found = await self._files.read_many(
            [self._members[number].path for number in wanted], max_bytes=_SMALL_BYTES
        )
        data = [read[1] if read is not None else b"" for read in found]
        # On a thread: the event loop has the bytes before these to send.
        sums = await to_thread.run_sync(_crc32s, data) if self._sums else [0] * len(data)
        self._ahead = {
            number: (read[1], crc) if read is not None and _is_same(read[0], self._members[number]) else None
            for number, read, crc in zip(wanted, found, sums, strict=True)
        }


def _crc32s(data: Sequence[bytes]) -> list[int]:
    return [zlib.crc32(one) for one in data]


def _is_same(known: FileStat, member: Member) -> bool:
    was = member.stat
    return (known.identity, known.size_bytes, known.modified_ns) == (
        was.identity,
        was.size_bytes,
        was.modified_ns,
    )


def _changed(member: Member) -> ChangedError:
    return ChangedError(f"{member.name}: changed while the archive was sent", subject=Subject.FILE)
