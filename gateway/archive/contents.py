"""The bytes of members, read so that many small files cost little."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Final, TypeVar

from backends.contract import FileAccess, FileStat, ReadHandle, SmallRead
from domain.errors import BackendFaultError, ConflictError, NotFoundError, Subject
from gateway.archive.manifest import Member

T = TypeVar("T")

#: Files up to this size are read whole, many in one go.
_SMALL_BYTES: Final = 256 << 10
#: Bytes and files read at once.
_TOGETHER_BYTES: Final = 2 << 20
_TOGETHER_FILES: Final = 256
#: Bytes of a large file read at once.
_READ_BYTES: Final = 1 << 20


class ChangedError(BackendFaultError):
    """A file is not any more what it was when the archive was planned."""


class Contents:
    """Reads members one after the other, in the order of a manifest."""

    def __init__(self, files: FileAccess, members: Sequence[Member]) -> None:
        self._files = files
        self._members = members
        #: Small members that were read with the one before them; None: not what they were.
        self._ahead: dict[int, bytes | None] = {}

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
            yield (await self._small(index))[start:end]
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
        return _is_small(self._members[index])

    async def run(self, index: int, stop: int, then: Callable[[Sequence[bytes]], T]) -> T:
        """Do something with all bytes of a small member and of those that follow it before `stop`.

        As long as they are small as well; some MiB at most, so there may be more of them.

        Args:
            then: is given the bytes of each, on the thread that has read them.

        Raises:
            ChangedError: one of them is gone, or another one.
        """
        wanted: list[Member] = []
        room = _TOGETHER_BYTES
        for member in self._members[index : min(stop, index + _TOGETHER_FILES)]:
            room -= member.size
            if room < 0 or not _is_small(member):
                break
            wanted.append(member)

        def used(found: Sequence[SmallRead | None]) -> T | Member:
            data = _unchanged(wanted, found)
            present = [one for one in data if one is not None]
            return then(present) if len(present) == len(data) else wanted[data.index(None)]

        done = await self._files.read_many([member.path for member in wanted], max_bytes=_SMALL_BYTES, then=used)
        if isinstance(done, Member):
            raise _changed(done)
        return done

    async def _small(self, index: int) -> bytes:
        """All bytes of a small member. Raises ChangedError."""
        if index not in self._ahead:
            wanted = self._following(index)
            found = await self._read([self._members[number] for number in wanted])
            self._ahead = dict(zip(wanted, found, strict=True))
        return _there(self._ahead.pop(index), self._members[index])

    def _following(self, index: int) -> Sequence[int]:
        """This small member and others behind it, up to some MiB."""
        wanted: list[int] = []
        room = _TOGETHER_BYTES
        for number in range(index, min(index + _TOGETHER_FILES, len(self._members))):
            member = self._members[number]
            if self.is_small(number) and member.size <= room:
                wanted.append(number)
                room -= member.size
        return wanted

    async def _read(self, members: Sequence[Member]) -> Sequence[bytes | None]:
        """Bytes of small members; None for those that are not any more what they were."""
        paths = [member.path for member in members]
        return await self._files.read_many(paths, max_bytes=_SMALL_BYTES, then=partial(_unchanged, members))


def _unchanged(members: Sequence[Member], found: Sequence[SmallRead | None]) -> Sequence[bytes | None]:
    return [
        read[1] if read is not None and _is_same(read[0], member) else None
        for read, member in zip(found, members, strict=True)
    ]


def _is_small(member: Member) -> bool:
    _, _, _, size, _, _, data = member
    return data is None and 0 < size <= _SMALL_BYTES


def _there(data: bytes | None, member: Member) -> bytes:
    if data is None:
        raise _changed(member)
    return data


def _is_same(known: FileStat, member: Member) -> bool:
    was = member.stat
    return known == was or (
        known.modified_ns == was.modified_ns
        and known.size_bytes == was.size_bytes
        and known.identity == was.identity
    )


def _changed(member: Member) -> ChangedError:
    return ChangedError(f"{member.name}: changed while the archive was sent", subject=Subject.FILE)
