"""Archives that are compressed while they are sent: nobody knows their length before.

What cannot be read when its turn comes is left out, or filled up with zeros if it had begun, and told in the last
member, `_ERRORS.txt`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from typing import Final

import zstandard
from anyio import to_thread

from gateway.archive.contents import ChangedError, Contents
from gateway.archive.deflate import Compressor, crc32, deflate
from gateway.archive.manifest import ERRORS_NAME, Member, errors_member
from gateway.archive.tar import Tar
from gateway.archive.zip import DeflatedZip

#: Bytes compressed at once.
_GATHER_BYTES: Final = 1 << 20
_ZSTD_LEVEL: Final = 3


def zstd() -> Compressor:
    """The Zstandard format (RFC 8878)."""
    return zstandard.ZstdCompressor(level=_ZSTD_LEVEL, write_checksum=True).compressobj()


async def compressed_tar(
    members: Sequence[Member], contents: Contents, compressor: Callable[[], Compressor]
) -> AsyncGenerator[bytes]:
    """A tar archive through a compressor."""
    async for piece in _compressed(_tar(members, contents), compressor()):
        yield piece


async def deflated_zip(members: Sequence[Member], contents: Contents) -> AsyncGenerator[bytes]:
    """A ZIP archive of deflated members."""
    form, errors = DeflatedZip(), _told(members)
    directory: list[tuple[Member, int, int, int, int]] = []
    offset = 0

    async def one(member: Member, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        nonlocal offset
        begin = offset
        head = form.head(member)
        counted = _Counted(pieces)
        packed = 0
        yield head
        async for piece in _compressed(counted, deflate()):
            packed += len(piece)
            yield piece
        tail = form.descriptor(member, counted.crc, packed, counted.size)
        yield tail
        offset += len(head) + packed + len(tail)
        directory.append((member, begin, counted.crc, packed, counted.size))

    async for member, pieces in _readable(members, contents, errors):
        async for piece in one(member, pieces):
            yield piece
    if errors:
        member = errors_member(errors, 0)
        async for piece in one(member, _given(member.data or b"")):
            yield piece
    begin = offset
    for member, at, crc, packed, size in directory:
        entry = form.central(member, at, crc, packed, size)
        offset += len(entry)
        yield entry
    yield form.end(len(directory), begin, offset - begin)


async def _tar(members: Sequence[Member], contents: Contents) -> AsyncIterator[bytes]:
    form, errors = Tar(), _told(members)
    async for member, pieces in _readable(members, contents, errors):
        yield form.head(member)
        async for piece in pieces:
            yield piece
        yield form.tail(member, 0)
    if errors:
        member = errors_member(errors, 0)
        yield form.head(member) + (member.data or b"") + form.tail(member, 0)
    yield form.end(0, 0, 0)


def _told(members: Sequence[Member]) -> list[str]:
    """What was left out when the archive was planned; more may come, so it is told last."""
    return [
        line
        for member in members
        if member.name == ERRORS_NAME and member.data
        for line in member.data.decode("utf-8", "surrogateescape").splitlines()
    ]


async def _readable(
    members: Sequence[Member], contents: Contents, errors: list[str]
) -> AsyncIterator[tuple[Member, AsyncIterator[bytes]]]:
    """Members that are there, each with its bytes, which are exactly as many as its size."""
    for index, member in enumerate(members):
        if member.name == ERRORS_NAME and member.data is not None:
            continue
        pieces = contents.pieces(index, 0, member.size)
        try:
            first = await anext(pieces, b"")
        except ChangedError:
            errors.append(f"{member.name}: changed or gone")
            continue
        yield member, _filled(member, first, pieces, errors)


async def _filled(
    member: Member, first: bytes, pieces: AsyncIterator[bytes], errors: list[str]
) -> AsyncIterator[bytes]:
    left = member.size - len(first)
    yield first
    try:
        async for piece in pieces:
            left -= len(piece)
            yield piece
    except ChangedError:
        errors.append(f"{member.name}: became shorter; its last {left} bytes are zeros")
        while left:
            zeros = bytes(min(left, _GATHER_BYTES))
            left -= len(zeros)
            yield zeros


async def _given(data: bytes) -> AsyncIterator[bytes]:
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


async def _compressed(pieces: AsyncIterator[bytes], compressor: Compressor) -> AsyncIterator[bytes]:
    gathered: list[bytes] = []
    size = 0
    async for piece in pieces:
        gathered.append(piece)
        size += len(piece)
        if size >= _GATHER_BYTES:
            yield await to_thread.run_sync(compressor.compress, b"".join(gathered))
            gathered, size = [], 0
    yield await to_thread.run_sync(_last, compressor, b"".join(gathered))


def _last(compressor: Compressor, data: bytes) -> bytes:
    return compressor.compress(data) + compressor.flush()
