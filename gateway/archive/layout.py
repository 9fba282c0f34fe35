"""Archives whose every byte has its place before one is sent: they have a length, a tag, and can be resumed."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from typing import Final, Protocol, TypeAlias

from backends.buffers import Piece
from domain.bounds import MOST_BYTES
from domain.errors import TooLargeError
from domain.recent import Recent
from gateway.archive.blocks import Blocks
from gateway.archive.contents import Contents
from gateway.archive.crew import Crew
from gateway.archive.deflate import crc32
from gateway.archive.manifest import Member
from gateway.transfer.send import Take

#: Bytes gathered before they are sent.
_SEND_BYTES: Final = 1 << 20
#: Entries of a directory at the end that are made at once.
_ENTRIES_TOGETHER: Final = 1000
#: Checksums remembered at most; and blocks of files of which only some are known, 8 MiB each.
_REMEMBERED: Final = 200_000
_BLOCKS: Final = 200_000


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
        self._known = Recent[_Key, int](_REMEMBERED)
        #: Large files, while only some of each was read.
        self._begun: OrderedDict[_Key, Blocks] = OrderedDict()
        self._blocks = 0

    def get(self, member: Member) -> int | None:
        """The checksum of a member, if it is known."""
        return self._known.get(_key(member)) if member.size else 0

    def keep(self, member: Member, crc: int) -> None:
        """Remember one."""
        key = _key(member)
        self._known[key] = crc
        if (begun := self._begun.pop(key, None)) is not None:
            self._blocks -= begun.count

    def blocks(self, member: Member) -> Blocks:
        """What is known of the checksum of a large member; the same for all who ask."""
        key = _key(member)
        begun = self._begun.get(key)
        if begun is None:
            begun = self._begun[key] = Blocks(member.size)
            self._blocks += begun.count
        self._begun.move_to_end(key)
        while self._blocks > _BLOCKS and len(self._begun) > 1:
            _, oldest = self._begun.popitem(last=False)
            self._blocks -= oldest.count
        return begun


_Key: TypeAlias = tuple[int, ...]


def _key(member: Member) -> _Key:
    _, _, (_, size, _, modified_ns, changed_ns, identity), _, _, _, data = member
    return (identity, size, modified_ns, changed_ns) if data is None else (0, len(data), crc32(data))


@dataclass(frozen=True, slots=True)
class Source:
    """Where the bytes of an archive come from."""

    contents: Contents
    checksums: Checksums
    crew: Crew


class Layout:
    """Where everything is in one archive.

    Raises:
        TooLargeError: it would be longer than any file can be.
    """

    def __init__(self, members: Sequence[Member], form: Format) -> None:
        # As many as a file may have; a few members with holes can have more.
        if sum(member.size for member in members) > MOST_BYTES:
            raise TooLargeError(f"more than {MOST_BYTES} bytes", max_bytes=MOST_BYTES)
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

    async def pieces(self, source: Source, start: int, end: int, take: Take) -> AsyncGenerator[list[Piece]]:
        """The archive's bytes from `start` up to `end`, about a MiB each time.

        The last bytes of a file are told when the file was looked at after them: where nothing of the archive comes
        behind them, it could not be seen by whoever has them that the file was changed.

        Args:
            take: is given bytes where they are made, on any thread, and returns those that are to be told here.
                What was told before has to be dealt with before more is asked for, so that all stays in its order.

        Raises:
            UnreadableError: a file is not any more what it was, or cannot be read.
        """
        held: list[Piece] = []
        size = 0

        def take_all(pieces: list[Piece]) -> list[Piece]:
            together = [*held, *pieces]
            held.clear()
            return take(together)

        async with aclosing(self._run(source, start, end, take_all)) as run:
            async for found in run:
                if isinstance(found, list):
                    yield found
                    size = 0
                    continue
                if held and (found is None or size >= _SEND_BYTES):
                    yield held.copy()
                    held.clear()
                    size = 0
                if found is not None:
                    held.append(found)
                    size += len(found)
        yield held

    async def look_ahead(self, source: Source, start: int, end: int) -> None:
        """Read for checksums what the bytes from `start` up to `end` do not hold of large members they tell of.

        Meant to run beside `pieces`, which needs them last. Raises as that.
        """
        if not self._form.needs_crc:
            return
        first = bisect_right(self._heads, start) - 1
        if first < len(self._members) and end >= self._heads[first + 1]:
            await self._fill(first, source, start - self._heads[first] - len(self._form.head(self._members[first])))
        for index in self._listed(start, end):
            if index < first:
                await self._fill(index, source, self._members[index].size)

    async def _fill(self, index: int, source: Source, end: int) -> None:
        if end > 0 and self._is_missing(index, source):
            await source.checksums.blocks(self._members[index]).fill(partial(source.contents.pieces, index), end)

    def _listed(self, start: int, end: int) -> range:
        """Members whose entries of the directory lie between `start` and `end`."""
        if self._entries[-1] == self._entries[0]:
            return range(0)  # this form has none
        first = max(bisect_right(self._entries, start) - 1, 0)
        return range(first, min(bisect_left(self._entries, end), len(self._members)))

    async def _run(
        self, source: Source, start: int, end: int, take: Take
    ) -> AsyncGenerator[bytes | list[Piece] | None]:
        """Single pieces, and what `take` has left of many. None: the next one may take long."""
        index = bisect_right(self._heads, start) - 1
        # Members before this one are wanted to their end.
        cut = bisect_right(self._heads, end) - 1
        while index < len(self._members):
            if self._heads[index] >= end:
                return
            if self._heads[index] >= start and index < cut and source.contents.is_small(index):
                whole = partial(self._whole, index, source.checksums, take)
                count, left = await source.contents.run(index, cut, whole)
                index += count
                yield left
                continue
            async with aclosing(self._member(index, source, start, end)) as pieces:
                async for piece in pieces:
                    yield piece
            index += 1
        async with aclosing(self._directory(source, start, end)) as pieces:
            async for piece in pieces:
                yield piece
        yield _cut(self._end, self._entries[-1], start, end)

    async def _directory(self, source: Source, start: int, end: int) -> AsyncGenerator[bytes | None]:
        """The directory at the end, many entries at a time."""
        crcs: list[int] = []
        listed = self._listed(start, end)
        begin = listed.start
        for index in listed:
            crc = source.checksums.get(self._members[index])
            if crc is None:
                if self._is_missing(index, source):
                    yield await self._entries_of(begin, crcs, source, start, end)
                    yield None
                    begin, crcs = index, []
                crc = await self._crc(index, source)
            crcs.append(crc)
            if len(crcs) == _ENTRIES_TOGETHER:
                yield await self._entries_of(begin, crcs, source, start, end)
                begin, crcs = index + 1, []
        yield await self._entries_of(begin, crcs, source, start, end)

    async def _entries_of(self, begin: int, crcs: Sequence[int], source: Source, start: int, end: int) -> bytes:
        """What the directory says of some members that follow each other, as far as it is wanted."""
        if not crcs:
            return b""
        return _cut(await source.crew.go_on(self._told, begin, crcs), self._entries[begin], start, end)

    def _told(self, begin: int, crcs: Sequence[int]) -> bytes:
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

    async def _member(self, index: int, source: Source, start: int, end: int) -> AsyncGenerator[bytes | None]:
        member, offset = self._members[index], self._heads[index]
        head = self._form.head(member)
        yield _cut(head, offset, start, end)
        offset += len(head)
        first, last = max(start - offset, 0), min(end - offset, member.size)
        may_be_watched = self._form.needs_crc and source.contents.is_large(index)
        is_watched = may_be_watched and source.checksums.get(member) is None
        watch = source.checksums.blocks(member).watch(first) if is_watched else None
        async with aclosing(source.contents.pieces(index, first, last)) as pieces:
            async for piece in pieces:
                if watch is not None:
                    watch.see(piece)
                yield piece
        offset += member.size
        if end > offset and start < self._heads[index + 1]:
            if self._is_missing(index, source):
                yield None
            yield _cut(self._form.tail(member, await self._crc(index, source)), offset, start, end)

    def _is_missing(self, index: int, source: Source) -> bool:
        """Whether much may have to be read to know a member's checksum."""
        member = self._members[index]
        if not self._form.needs_crc or not source.contents.is_large(index):
            return False
        return source.checksums.get(member) is None and not source.checksums.blocks(member).is_complete

    async def _crc(self, index: int, source: Source) -> int:
        """The checksum of a member; what nobody has seen of it is read for it."""
        if not self._form.needs_crc:
            return 0
        member = self._members[index]
        crc = source.checksums.get(member)
        if crc is None:
            read = partial(source.contents.pieces, index)
            if source.contents.is_large(index):
                crc = await source.checksums.blocks(member).complete(read, source.crew.go_on)
            else:
                crc = 0
                async for piece in read(0, member.size):
                    crc = crc32(piece, crc)
            source.checksums.keep(member, crc)
        return crc


def _cut(data: bytes, offset: int, start: int, end: int) -> bytes:
    """The part of bytes lying at `offset` that is wanted."""
    return data[max(start - offset, 0) : max(end - offset, 0)]
