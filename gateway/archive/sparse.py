"""Files with holes in tar archives: which of their bytes are there, and what they are with their holes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from gateway.archive.inflow import BrokenArchiveError, Read

#: Zeros made in one go.
_ZEROS: Final = 1 << 20


class Sparse:
    """A file of which only some bytes are there.

    Args:
        numbers: for each part that is there, where it begins and how long it is.
        size: of the file with its holes.

    Raises:
        BrokenArchiveError: the parts overlap, are not in their order, or do not lie in the file.
    """

    def __init__(self, numbers: Sequence[int], size: int) -> None:
        if len(numbers) % 2:
            raise BrokenArchiveError("a file with holes does not tell all of them")
        self._parts = list(zip(numbers[::2], numbers[1::2], strict=True))
        self.size = size
        end = 0
        for offset, count in self._parts:
            if offset < end or count < 0:
                raise BrokenArchiveError("parts of a file with holes overlap")
            end = offset + count
        if end > size:
            raise BrokenArchiveError("parts of a file with holes lie behind its end")

    @property
    def there(self) -> int:
        """How many bytes are there."""
        return sum(count for _, count in self._parts)

    def filled(self, read: Read) -> Read:
        """All its bytes, from those that are there."""
        position, parts = 0, iter([*self._parts, (self.size, 0)])
        begin, count = next(parts)

        def filled(most: int) -> bytes:
            nonlocal position, begin, count
            while position >= begin + count and position < self.size:
                begin, count = next(parts)
            if position < begin:
                data = bytes(min(most, begin - position, _ZEROS))
            else:
                data = read(min(most, begin + count - position))
            position += len(data)
            return data

        return filled
