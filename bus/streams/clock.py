"""Redis's clock, followed from here without asking each time.

Every answer that carries Redis's time corrects the offset; between answers the local monotonic clock goes on,
so a step of the local wall clock changes nothing.
"""

from __future__ import annotations

import os
import time
from uuid import UUID

from bus.codec import seconds
from domain.ids import uuid7


class RedisClock:
    """Unix time as Redis sees it."""

    def __init__(self) -> None:
        self._offset = time.time() - time.monotonic()

    def heard(self, redis_ms: int, asked: float) -> None:
        """Take over Redis's time from an answer to a question asked at monotonic time `asked`."""
        answered = time.monotonic()
        self._offset = seconds(redis_ms) - (asked + answered) / 2

    def now(self) -> float:
        """Unix time in seconds, to the millisecond."""
        return round(time.monotonic() + self._offset, 3)

    def new_id(self) -> UUID:
        """A fresh UUIDv7 of this clock's time."""
        return uuid7(int(self.now() * 1000), os.urandom(10))
