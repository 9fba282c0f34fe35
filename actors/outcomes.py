"""Outcomes on their way from who settles commands to who commits them, within one event loop."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence

from bus.contract import Outcome


class Outcomes:
    """Outcomes in the order they came. Not bounded by itself: the lane's window bounds what can be under way."""

    def __init__(self) -> None:
        self._waiting: deque[Outcome] = deque()
        self._changed = asyncio.Event()
        self._closed = False

    def put(self, outcome: Outcome) -> None:
        """Add one."""
        self._waiting.append(outcome)
        self._changed.set()

    def close(self) -> None:
        """Say that no more come."""
        self._closed = True
        self._changed.set()

    async def take(self, most: int) -> Sequence[Outcome]:
        """Wait for outcomes; all that are there, up to so many. Empty: it was closed, and all are taken.

        Under load commits grow by themselves, without waiting for company.
        """
        while not self._waiting:
            if self._closed:
                return ()
            self._changed.clear()
            await self._changed.wait()
        return [self._waiting.popleft() for _ in range(min(most, len(self._waiting)))]
