"""How long calls on a storage are waited for, by somebody who may not have the time."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import anyio


class Patience:
    """That of one user of a storage, who may lose it while he waits. To be used on one event loop."""

    def __init__(self) -> None:
        self._seconds = math.inf
        self._waits: set[anyio.CancelScope] = set()

    @contextmanager
    def bounding(self, wait: anyio.CancelScope) -> Iterator[None]:
        """Have a wait that begins end no later than patience does."""
        self._bound(wait)
        self._waits.add(wait)
        try:
            yield
        finally:
            self._waits.discard(wait)

    def lose(self, seconds: float) -> None:
        """Have each call from now on, and those under way, be waited for so many seconds at most."""
        self._seconds = min(self._seconds, seconds)
        for wait in self._waits:
            self._bound(wait)

    def _bound(self, wait: anyio.CancelScope) -> None:
        wait.deadline = min(wait.deadline, anyio.current_time() + self._seconds)
