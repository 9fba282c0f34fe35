"""How long a lease taken in Redis may be trusted here.

Rules: trust counts from before the question was asked, on the local monotonic clock, and ends well before the
lease does, so a pause of this process is noticed here before somebody else can have taken over.
"""

from __future__ import annotations

import math
import time
from typing import Final

import anyio

from domain.errors import BusBrokenError, FencedError

#: Part of a lease's length during which its holder trusts it.
_TRUST: Final = 0.7


class Trust:
    """Whether a lease is surely ours, unknown, or lost."""

    def __init__(self, ttl_seconds: float, asked: float, what: str) -> None:
        self._ttl = ttl_seconds
        self._what = what
        self._until = asked + _TRUST * ttl_seconds
        self._renewed = anyio.Event()
        self._lost = anyio.Event()

    @property
    def is_lost(self) -> bool:
        """Whether the lease is known to be gone."""
        return self._lost.is_set()

    def renew(self, asked: float) -> None:
        """Take note that a question asked at monotonic time `asked` was answered with "still yours"."""
        self._until = asked + _TRUST * self._ttl
        self._renewed.set()
        self._renewed = anyio.Event()

    def lose(self) -> None:
        """Take note that the lease is gone."""
        self._lost.set()
        self._renewed.set()

    async def wait_lost(self) -> None:
        """Return when the lease is known to be gone."""
        await self._lost.wait()

    async def confirm(self, patience_seconds: float = math.inf) -> None:
        """Return while the lease is surely ours; wait while that is unknown.

        Raises:
            FencedError: the lease is gone.
            BusBrokenError: it stayed unknown for so long.
        """
        if self._is_sure():
            return
        with anyio.move_on_after(patience_seconds):
            while not self._is_sure():
                await self._renewed.wait()
            return
        raise BusBrokenError(f"Redis is away: nobody knows who has {self._what}")

    def _is_sure(self) -> bool:
        if self.is_lost:
            raise FencedError(f"{self._what} has another owner")
        return time.monotonic() < self._until
