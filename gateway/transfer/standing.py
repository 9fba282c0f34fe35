"""Receivers that are slow, and receivers that stand still."""

from __future__ import annotations

import time
from typing import Final

import anyio

#: How long it is waited, the longer the more often, before it is looked again what a receiver has taken.
_LOOK_SECONDS: Final = (0.001, 0.05)


class Standing:
    """How long a receiver has taken nothing. One that takes little at a time does not stand still.

    A connection says that it takes more only once much of what waits has left, for which slow receivers may need
    minutes.
    """

    def __init__(self, most_seconds: float) -> None:
        self._most_seconds = most_seconds
        self._pause, self._longest_pause = _LOOK_SECONDS
        self._least: int | None = None
        self._since = 0.0

    async def saw(self, waiting: int) -> None:
        """Note how many bytes it has not taken, and wait a moment. Raises TimeoutError: it stands still."""
        now = time.monotonic()
        if self._least is None or waiting < self._least:
            self._least, self._since = waiting, now
        elif now - self._since > self._most_seconds:
            raise TimeoutError
        await anyio.sleep(self._pause)
        self._pause = min(self._pause * 2, self._longest_pause)
