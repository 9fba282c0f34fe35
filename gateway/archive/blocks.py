"""CRC-32 of a large file, block by block.

Whoever reads some of the file for whatever purpose saves it for all others: those who send other parts of the same
archive at the same time, and those who come back after a connection broke. Only what nobody has read yet is read
for the checksum alone, and by one of them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final, TypeAlias

import anyio
from anyio import to_thread

from gateway.archive.deflate import crc32, crc32_of_both

BLOCK_BYTES: Final = 8 << 20

#: So few that their checksums become one in no time.
_FEW_BLOCKS: Final = 64

#: Calls something on a thread.
Work: TypeAlias = Callable[[Callable[[], int | None]], Awaitable[int | None]]
#: Gives a file's bytes from one offset up to another.
ReadPieces: TypeAlias = Callable[[int, int], AsyncIterator[bytes]]


class Blocks:
    """What is known of one file."""

    def __init__(self, size: int) -> None:
        self._size = size
        self.count = -(-size // BLOCK_BYTES)
        self._known: dict[int, int] = {}
        #: Blocks somebody reads just now.
        self._begun: set[int] = set()
        self._changed = anyio.Event()

    @property
    def is_complete(self) -> bool:
        """Whether all of it was read by somebody."""
        return len(self._known) == self.count

    def whole(self) -> int | None:
        """The checksum of the file; None: some of it was not read yet. Blocking: it may have very many blocks."""
        if not self.is_complete:
            return None
        crc = 0
        for block in range(self.count):
            crc = crc32_of_both(crc, self._known[block], self._length(block))
        return crc

    async def complete(self, read: ReadPieces, work: Work = to_thread.run_sync) -> int:
        """The checksum of the file; what is missing is read, or waited for if somebody else reads it.

        Args:
            work: calls something that takes long, on a thread.

        Raises what `read` raises.
        """
        while not self.is_complete:
            changed = self._changed
            await self.fill(read, self._size)
            if not self.is_complete:
                await changed.wait()
        crc = self.whole() if self.count <= _FEW_BLOCKS else await work(self.whole)
        assert crc is not None, "what is known of a file is not forgotten"
        return crc

    async def fill(self, read: ReadPieces, end: int) -> None:
        """Read what is missing before an offset, and nobody else reads. Raises what `read` raises."""
        for block in range(-(-end // BLOCK_BYTES)):
            if block not in self._known and block not in self._begun:
                await self._read(block, read)

    async def _read(self, block: int, read: ReadPieces) -> None:
        begin, crc = block * BLOCK_BYTES, 0
        self._begun.add(block)
        try:
            async for piece in read(begin, begin + self._length(block)):
                crc = crc32(piece, crc)
            self._known[block] = crc
        finally:
            self._begun.discard(block)
            self._changed.set()
            self._changed = anyio.Event()

    def keep(self, block: int, crc: int) -> None:
        """Take note of a block somebody has read."""
        self._known[block] = crc

    def watch(self, offset: int) -> Watch:
        """Watch bytes that are read from an offset on."""
        return Watch(self, offset, self._size)

    def _length(self, block: int) -> int:
        return min(BLOCK_BYTES, self._size - block * BLOCK_BYTES)


class Watch:
    """Sums up bytes that come one after the other, and keeps what it has of whole blocks."""

    def __init__(self, blocks: Blocks, offset: int, size: int) -> None:
        self._blocks = blocks
        self._size = size
        self._offset = offset
        #: Of the block that is being read; None: its begin was not seen.
        self._crc: int | None = None

    def see(self, piece: bytes) -> None:
        """Take in the next bytes."""
        view = memoryview(piece)
        while view:
            block, place = divmod(self._offset, BLOCK_BYTES)
            end = min((block + 1) * BLOCK_BYTES, self._size)
            part = view[: end - self._offset]
            if not place:
                self._crc = 0
            if self._crc is not None:
                self._crc = crc32(part, self._crc)
            self._offset += len(part)
            if self._crc is not None and self._offset == end:
                self._blocks.keep(block, self._crc)
            view = view[len(part) :]
