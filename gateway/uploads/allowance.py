"""How many bytes an upload may have."""

from __future__ import annotations

from typing import Protocol

from domain.errors import PenstockError, TooLargeError


class Allowance(Protocol):
    """How far an upload may reach."""

    async def reach(self, end: int) -> int:
        """Up to which offset it may be stored, if it is to have `end` bytes; less: not all of them."""

    @property
    def refusal(self) -> PenstockError:
        """What is wrong if it may not have as many as it was to."""


class Announced:
    """An upload of known length."""

    def __init__(self, length: int) -> None:
        self._length = length
        self.refusal = TooLargeError("more bytes than the upload's length")

    async def reach(self, end: int) -> int:
        """Up to its length."""
        return min(end, self._length)
