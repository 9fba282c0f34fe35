"""The bytes of members, read so that many small files cost little."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from functools import partial
from typing import Final, TypeVar

from backends.contract import FileStat, ReadAccess, ReadHandle, SmallRead
from domain.errors import (
    BackendFaultError,
    ConflictError,
    ForbiddenError,
    InvalidPathError,
    NotFoundError,
    PenstockError,
    Subject,
)
from gateway.archive.manifest import Member
from gateway.archive.names import shown

T = TypeVar("T")

#: Files up to this size are read whole, many in one go.
_SMALL_BYTES: Final = 256 << 10
#: Bytes and files read at once.
_TOGETHER_BYTES: Final = 2 << 20
_TOGETHER_FILES: Final = 256
#: Bytes of a large file read at once, and after how many it is looked at again.
_READ_BYTES: Final = 1 << 20
_LOOK_BYTES: Final = 64 << 20


class UnreadableError(BackendFaultError):
    """A file cannot be read from `offset` on as the archive was planned; the text tells people its name and why."""

    def __init__(self, member: Member, why: str, offset: int) -> None:
        super().__init__(f"{shown(member.name)}: {why}", subject=Subject.FILE)
        self.member = member
        self.offset = offset


class ChangedError(UnreadableError):
    """A file is not any more what it was when the archive was planned, or when it was opened."""


class Contents:
    """Reads members one after the other, in the order of a manifest.

    Args:
        exact: a file of which anything has changed, such as its mode, is another one; for archives that are sent in
            parts, which have to fit.
    """

    def __init__(self, files: ReadAccess, members: Sequence[Member], *, exact: bool = False) -> None:
        self._files = files
        self._members = members
        self._is_same = _is_equal if exact else _is_same
        #: Small members that were read with the one before them; None: not what they were.
        self._ahead: dict[int, bytes | None] = {}

    async def pieces(self, index: int, start: int, end: int) -> AsyncGenerator[bytes]:
        """Bytes of a member from `start` up to `end`.

        Raises:
            ChangedError: it is gone, or another one; or it was changed in its place while it was read, and some of
                the bytes that came are older than others.
            UnreadableError: it cannot be read.
        """
        member = self._members[index]
        if start >= end:
            return
        if member.data is not None:
            yield member.data[start:end]
        elif self.is_small(index):
            yield (await self._small(index))[start:end]
        else:
            async with self.opened(member) as handle, aclosing(self._large(member, handle, start, end)) as pieces:
                async for piece in pieces:
                    yield piece

    async def _large(self, member: Member, handle: ReadHandle, start: int, end: int) -> AsyncGenerator[bytes]:
        look = start + _LOOK_BYTES
        while start < end:
            piece = await _piece(member, handle, start, end)
            start += len(piece)
            yield piece
            if start >= min(look, end):
                await self._look(member, handle)
                look = start + _LOOK_BYTES

    async def try_at(self, member: Member, offset: int) -> None:
        """Read some bytes of a member, to see whether they can be. Raises ChangedError, UnreadableError."""
        async with self.opened(member) as handle:
            await _piece(member, handle, offset, member.size)

    async def _look(self, member: Member, handle: ReadHandle) -> None:
        """See that a file was not changed in its place since it was opened.

        One that was removed or replaced is still what it was for who has it open, unless it was written to before.
        """
        if not await self._is_as_opened(member, handle):
            raise _changed(member)

    async def _is_as_opened(self, member: Member, handle: ReadHandle) -> bool:
        try:
            known = await self._files.stat(member.path)
        except (NotFoundError, ConflictError, InvalidPathError):
            known = None
        if known is not None and known.identity == handle.stat.identity:
            return known == handle.stat
        try:
            return await handle.is_unchanged()
        except BackendFaultError as error:
            raise _unreadable(member, error) from error

    @asynccontextmanager
    async def opened(self, member: Member) -> AsyncIterator[ReadHandle]:
        """A member's file, if it still is the one of the manifest. Raises ChangedError, UnreadableError."""
        try:
            handle = await self._files.open_read(member.path)
        except (NotFoundError, ConflictError) as error:
            raise _changed(member) from error
        except (ForbiddenError, InvalidPathError, BackendFaultError) as error:
            raise _unreadable(member, error) from error
        try:
            if not self._is_same(handle.stat, member):
                raise _changed(member)
            yield handle
        finally:
            await handle.close()

    def is_small(self, index: int) -> bool:
        """Whether a member's bytes are read in one go, with those of others."""
        return _is_small(self._members[index])

    def is_large(self, index: int) -> bool:
        """Whether a member's bytes are read by themselves, a piece at a time."""
        member = self._members[index]
        return member.data is None and member.size > _SMALL_BYTES

    async def run(self, index: int, stop: int, then: Callable[[Sequence[bytes]], T]) -> T:
        """Do something with all bytes of a small member and of those that follow it before `stop`.

        As long as they are small as well; some MiB at most, so there may be more of them.

        Args:
            then: is given the bytes of each, on the thread that has read them.

        Raises:
            ChangedError: one of them is gone, or another one.
            UnreadableError: one of them cannot be read.
        """
        wanted: list[Member] = []
        room = _TOGETHER_BYTES
        for member in self._members[index : min(stop, index + _TOGETHER_FILES)]:
            room -= member.size
            if room < 0 or not _is_small(member):
                break
            wanted.append(member)

        def used(found: Sequence[SmallRead | None]) -> T | Member:
            data = self._unchanged(wanted, found)
            present = [one for one in data if one is not None]
            return then(present) if len(present) == len(data) else wanted[data.index(None)]

        paths = [member.path for member in wanted]
        try:
            done = await self._files.read_many(paths, max_bytes=_SMALL_BYTES, then=used)
        except BackendFaultError as error:
            if len(wanted) == 1:
                raise _unreadable(wanted[0], error) from error
            return await self.run(index, index + len(wanted) // 2, then)  # it may be any of them
        if isinstance(done, Member):
            raise _changed(done)
        return done

    async def _small(self, index: int) -> bytes:
        """All bytes of a small member. Raises ChangedError, UnreadableError."""
        if index not in self._ahead:
            wanted = self._following(index)
            try:
                found = await self._read([self._members[number] for number in wanted])
            except BackendFaultError:
                wanted, found = [index], [await self._alone(self._members[index])]  # of many it may be any
            self._ahead = dict(zip(wanted, found, strict=True))
        return _there(self._ahead.pop(index), self._members[index])

    async def _alone(self, member: Member) -> bytes | None:
        try:
            return (await self._read([member]))[0]
        except BackendFaultError as error:
            raise _unreadable(member, error) from error

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
        return await self._files.read_many(paths, max_bytes=_SMALL_BYTES, then=partial(self._unchanged, members))

    def _unchanged(self, members: Sequence[Member], found: Sequence[SmallRead | None]) -> Sequence[bytes | None]:
        return [
            read[1] if read is not None and self._is_same(read[0], member) else None
            for read, member in zip(found, members, strict=True)
        ]


def _is_small(member: Member) -> bool:
    _, _, _, size, _, _, data = member
    return data is None and 0 < size <= _SMALL_BYTES


def _there(data: bytes | None, member: Member) -> bytes:
    if data is None:
        raise _changed(member)
    return data


def _is_equal(known: FileStat, member: Member) -> bool:
    return known == member.stat


def _is_same(known: FileStat, member: Member) -> bool:
    was = member.stat
    return known == was or (
        known.modified_ns == was.modified_ns
        and known.size_bytes == was.size_bytes
        and known.identity == was.identity
    )


async def _piece(member: Member, handle: ReadHandle, start: int, end: int) -> bytes:
    """The next bytes of a large member. Raises ChangedError, UnreadableError."""
    try:
        piece = await handle.read(start, min(_READ_BYTES, end - start))
    except BackendFaultError as error:
        raise _unreadable(member, error, start) from error
    if not piece:
        raise _changed(member, start)
    return piece


def _changed(member: Member, offset: int = 0) -> ChangedError:
    return ChangedError(member, "changed or gone", offset)


def _unreadable(member: Member, error: PenstockError, offset: int = 0) -> UnreadableError:
    return UnreadableError(member, error.code, offset)
