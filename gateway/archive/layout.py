"""Archives whose every byte has its place before one is sent: they have a length, a tag, and can be resumed."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from functools import partial
from itertools import accumulate
from typing import Final, Protocol

from anyio import to_thread

from backends.buffers import Piece
from gateway.archive.contents import Contents
from gateway.archive.deflate import crc32
from gateway.archive.manifest import Member
from gateway.transfer.send import Take

#: Bytes gathered before they are sent.
_SEND_BYTES: Final = 1 << 20
#: Entries of a directory at the end that are made at once.
_ENTRIES_TOGETHER: Final = 1000
#: Checksums remembered at most.
_REMEMBERED: Final = 200_000


class Format(Protocol):
    """How an archive is written down. Lengths depend on nothing but the members."""

    media_type: str
    needs_crc: bool

    def head(self, member: Member) -> bytes:
        """What stands before a member's bytes."""

    def tail(self, member: Member, crc: int) -> bytes:
        """What stands behind them."""

    def entry(self, member: Member, offset: int, crc: int) -> bytes:
        """What the directory at the end says of a member whose head is at `offset`."""

    def end(self, count: int, begin: int, size: int) -> bytes:
        """What stands behind the directory of `count` entries, which begins at `begin`."""

    def lengths(self, member: Member, offset: int) -> tuple[int, int, int]:
        """Lengths of `head`, `tail` and `entry` of a member whose head is at `offset`."""


class Checksums:
    """CRC-32 of files of one volume, remembered by what tells a file's bytes from others."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[int, int, int], int] = OrderedDict()

    def get(self, member: Member) -> int | None:
        """The checksum of a member, if it is known."""
        return self._known.get(_key(member)) if member.size else 0

    def keep(self, member: Member, crc: int) -> None:
        """Remember one."""
        self._known[_key(member)] = crc
        while len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)


def _key(member: Member) -> tuple[int, int, int]:
    _, _, (_, size, _, modified_ns, _, identity), _, _, _, data = member
    return (identity, size, modified_ns) if data is None else (0, len(data), crc32(data))


class Layout:
    """Where everything is in one archive."""

    def __init__(self, members: Sequence[Member], form: Format) -> None:
        self._members = members
        self._form = form
        #: Where each member's head begins, and where the directory does.
        self._heads = array("Q", [0])
        entries, offset = array("Q"), 0
        for member in members:
            head, tail, entry = form.lengths(member, offset)
            offset += head + member.size + tail
            self._heads.append(offset)
            entries.append(entry)
        #: Where each entry of the directory begins, and where its end does.
        self._entries = array("Q", accumulate(entries, initial=offset))
        begin, size = self._heads[-1], self._entries[-1] - self._heads[-1]
        self._end = form.end(len(members), begin, size)
        self.size = self._entries[-1] + len(self._end)

    @classmethod
    async def plan(cls, members: Sequence[Member], form: Format) -> Layout:
        """Plan an archive; on a thread, because there may be many members."""
        return await to_thread.run_sync(cls, members, form)

    async def pieces(
        self, contents: Contents, checksums: Checksums, start: int, end: int, take: Take
    ) -> AsyncGenerator[list[Piece]]:
        """The archive's bytes from `start` up to `end`, about a MiB each time.

        Args:
            take: is given bytes where they are made, on any thread, and returns those that are to be told here.
                What was told before has to be dealt with before more is asked for, so that all stays in its order.

        Raises:
            ChangedError: a file is not any more what it was.
        """
        held: list[Piece] = []
        size = 0

        def take_all(pieces: list[Piece]) -> list[Piece]:
            together = [*held, *pieces]
            held.clear()
            return take(together)

        async for found in self._run(contents, checksums, start, end, take_all):
            if isinstance(found, list):
                yield found
                size = 0
                continue
            held.append(found)
            size += len(found)
            if size >= _SEND_BYTES:
                yield held.copy()
                held.clear()
                size = 0
        yield held

    async def _run(
        self, contents: Contents, checksums: Checksums, start: int, end: int, take: Take
    ) -> AsyncIterator[bytes | list[Piece]]:
        """Single pieces, and what `take` has left of many."""
        index = bisect_right(self._heads, start) - 1
        # Members before this one are wanted to their end.
        cut = bisect_right(self._heads, end) - 1
        while index < len(self._members):
            if self._heads[index] >= end:
                return
            if self._heads[index] >= start and index < cut and contents.is_small(index):
                count, left = await contents.run(index, cut, partial(self._whole, index, checksums, take))
                index += count
                yield left
                continue
            async for piece in self._member(index, contents, checksums, start, end):
                yield piece
            index += 1
        async for piece in self._directory(contents, checksums, start, end):
            yield piece
        yield _cut(self._end, self._entries[-1], start, end)

    async def _directory(
        self, contents: Contents, checksums: Checksums, start: int, end: int
    ) -> AsyncIterator[bytes]:
        """The directory at the end, many entries at a time."""
        if self._entries[-1] == self._entries[0]:
            return  # this form has none
        first = max(bisect_right(self._entries, start) - 1, 0)
        last = min(bisect_left(self._entries, end), len(self._members))
        for begin in range(first, last, _ENTRIES_TOGETHER):
            crcs: list[int] = []
            for index in range(begin, min(begin + _ENTRIES_TOGETHER, last)):
                known = checksums.get(self._members[index])
                crcs.append(await self._crc(index, contents, checksums) if known is None else known)
            yield _cut(await to_thread.run_sync(self._told, begin, crcs), self._entries[begin], start, end)

    def _told(self, begin: int, crcs: Sequence[int]) -> bytes:
        """What the directory says of several members that follow each other."""
        entry, heads, members = self._form.entry, self._heads, self._members
        return b"".join([entry(members[index], heads[index], crc) for index, crc in enumerate(crcs, begin)])

    def _whole(
        self, index: int, checksums: Checksums, take: Take, data: Sequence[bytes]
    ) -> tuple[int, list[Piece]]:
        """Make all of several members that follow each other, whose bytes were read in one go."""
        form, parts, crc = self._form, list[Piece](), 0
        for member, content in zip(self._members[index : index + len(data)], data, strict=True):
            if form.needs_crc:
                crc = crc32(content)
                checksums.keep(member, crc)
            parts += (form.head(member), content, form.tail(member, crc))
        return len(data), take(parts)

    async def _member(
        self, index: int, contents: Contents, checksums: Checksums, start: int, end: int
    ) -> AsyncIterator[bytes]:
        member, offset = self._members[index], self._heads[index]
        head = self._form.head(member)
        yield _cut(head, offset, start, end)
        offset += len(head)
        first, last = max(start - offset, 0), min(end - offset, member.size)
        if self._form.needs_crc and first == 0 and last == member.size and checksums.get(member) is None:
            crc = 0
            async for piece in contents.pieces(index, first, last):
                crc = crc32(piece, crc)
                yield piece
            checksums.keep(member, crc)
        else:
            async for piece in contents.pieces(index, first, last):
                yield piece
        offset += member.size
        if end > offset and start < self._heads[index + 1]:
            crc = await self._crc(index, contents, checksums)
            yield _cut(self._form.tail(member, crc), offset, start, end)

    async def _crc(self, index: int, contents: Contents, checksums: Checksums) -> int:
        """The checksum of a member; one whose bytes were sent in another request is read for it."""
        if not self._form.needs_crc:
            return 0
        member = self._members[index]
        crc = checksums.get(member)
        if crc is None:
            crc = 0
            async for piece in contents.pieces(index, 0, member.size):
                crc = crc32(piece, crc)
            checksums.keep(member, crc)
        return crc


def _cut(data: bytes, offset: int, start: int, end: int) -> bytes:
    """The part of bytes lying at `offset` that is wanted."""
    return data[max(start - offset, 0) : max(end - offset, 0)]
