"""Archives that are compressed while they are sent: nobody knows their length before.

What cannot be read when its turn comes is left out, or filled up with zeros if it had begun, and told in the last
member; so is what was changed while it was read.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

import zstandard

from gateway.archive.composition import Composition
from gateway.archive.contents import Contents, UnreadableError
from gateway.archive.crew import Crew
from gateway.archive.deflate import Compressor, crc32, deflate
from gateway.archive.manifest import Member
from gateway.archive.tar import Tar
from gateway.archive.zip import DeflatedZip

#: Bytes compressed at once.
_GATHER_BYTES: Final = 1 << 20
_ZSTD_LEVEL: Final = 3


def zstd() -> Compressor:
    """The Zstandard format (RFC 8878)."""
    return zstandard.ZstdCompressor(level=_ZSTD_LEVEL, write_checksum=True).compressobj()


@dataclass(frozen=True, slots=True)
class Flow:
    """What an archive is made of, and by whom.

    Args:
        strict: what cannot be read ends it, and is not told in it.
    """

    composition: Composition
    contents: Contents
    crew: Crew
    strict: bool

    async def readable(self, errors: list[str]) -> AsyncGenerator[tuple[Member, AsyncIterator[bytes]]]:
        """Members that are there, each with its bytes, which are exactly as many as its size.

        Args:
            errors: takes in what could not be read.

        Raises:
            UnreadableError: something cannot be read, where that is not to be told.
        """
        for index, member in enumerate(self.composition.members):
            async with aclosing(self.contents.pieces(index, 0, member.size)) as pieces:
                try:
                    first = await anext(pieces, b"")
                except UnreadableError as error:
                    self._tell(errors, error)
                    continue
                async with aclosing(self._filled(member, first, pieces, errors)) as filled:
                    yield member, filled

    async def _filled(
        self, member: Member, first: bytes, pieces: AsyncIterator[bytes], errors: list[str]
    ) -> AsyncGenerator[bytes]:
        left = member.size - len(first)
        yield first
        try:
            async for piece in pieces:
                left -= len(piece)
                yield piece
        except UnreadableError as error:
            what = f"its last {left} bytes are zeros" if left else "some of its bytes are older than others"
            self._tell(errors, error, f"; {what}")
            while left:
                zeros = bytes(min(left, _GATHER_BYTES))
                left -= len(zeros)
                yield zeros

    def _tell(self, errors: list[str], error: UnreadableError, more: str = "") -> None:
        if self.strict:
            raise error
        errors.append(error.message + more)

    async def telling(self, errors: list[str]) -> Member:
        """The member that tells what could not be put in."""
        return await self.crew.go_on(self.composition.telling, errors)

    async def compressed(self, pieces: AsyncIterator[bytes], compressor: Compressor) -> AsyncGenerator[bytes]:
        """Bytes through a compressor."""
        gathered: list[bytes] = []
        size = 0
        async for piece in pieces:
            gathered.append(piece)
            size += len(piece)
            if size >= _GATHER_BYTES:
                yield await self.crew.go_on(compressor.compress, b"".join(gathered))
                gathered, size = [], 0
        yield await self.crew.go_on(_last, compressor, b"".join(gathered))


async def compressed_tar(flow: Flow, compressor: Callable[[], Compressor]) -> AsyncGenerator[bytes]:
    """A tar archive through a compressor."""
    async with aclosing(_tar(flow)) as tar, aclosing(flow.compressed(tar, compressor())) as pieces:
        async for piece in pieces:
            yield piece


async def deflated_zip(flow: Flow) -> AsyncGenerator[bytes]:
    """A ZIP archive of deflated members."""
    form, errors = DeflatedZip(), list(flow.composition.errors)
    directory: list[tuple[Member, int, int, int, int]] = []
    offset = 0

    async def one(member: Member, pieces: AsyncIterator[bytes]) -> AsyncGenerator[bytes]:
        nonlocal offset
        begin = offset
        head = form.head(member)
        counted = _Counted(pieces)
        packed = 0
        yield head
        async with aclosing(flow.compressed(counted, deflate())) as compressed:
            async for piece in compressed:
                packed += len(piece)
                yield piece
        tail = form.descriptor(member, counted.crc, packed, counted.size)
        yield tail
        offset += len(head) + packed + len(tail)
        directory.append((member, begin, counted.crc, packed, counted.size))

    async with aclosing(_with_telling(flow, errors)) as members:
        async for member, pieces in members:
            async with aclosing(one(member, pieces)) as packed_member:
                async for piece in packed_member:
                    yield piece
    begin = offset
    for member, at, crc, packed, size in directory:
        entry = form.central(member, at, crc, packed, size)
        offset += len(entry)
        yield entry
    yield form.end(len(directory), begin, offset - begin)


async def _tar(flow: Flow) -> AsyncGenerator[bytes]:
    form, errors = Tar(), list(flow.composition.errors)
    async with aclosing(_with_telling(flow, errors)) as members:
        async for member, pieces in members:
            yield form.head(member)
            async for piece in pieces:
                yield piece
            yield form.tail(member, 0)
    yield form.end(0, 0, 0)


async def _with_telling(flow: Flow, errors: list[str]) -> AsyncGenerator[tuple[Member, AsyncIterator[bytes]]]:
    """What is readable, and behind it what could not be put in, if there is anything."""
    async with aclosing(flow.readable(errors)) as members:
        async for member, pieces in members:
            yield member, pieces
    if errors:
        telling = await flow.telling(errors)
        async with aclosing(_given(telling.data or b"")) as data:
            yield telling, data


async def _given(data: bytes) -> AsyncGenerator[bytes]:
    yield data


class _Counted:
    """Counts and sums up what goes through."""

    def __init__(self, pieces: AsyncIterator[bytes]) -> None:
        self._pieces = pieces
        self.size = 0
        self.crc = 0

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        piece = await anext(self._pieces)
        self.size += len(piece)
        self.crc = crc32(piece, self.crc)
        return piece


def _last(compressor: Compressor, data: bytes) -> bytes:
    return compressor.compress(data) + compressor.flush()
