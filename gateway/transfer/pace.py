"""How fast the downloads of one token may be, all its connections to this process together."""

from __future__ import annotations

import hashlib
import time
from typing import Final

import anyio

from domain.recent import Recent

#: Paces remembered at most.
_REMEMBERED: Final = 2000
#: Part of a second's bytes sent at once, so that a slow pace is no stutter.
_STEP: Final = 0.25
_LEAST_STEP: Final = 16 << 10


class Pace:
    """Bytes a second; None: as fast as it goes."""

    def __init__(self, rate: int | None) -> None:
        self.rate = rate
        #: When all bytes whose turn was given out are due to have arrived, on the monotonic clock.
        self._due = 0.0

    @property
    def is_limited(self) -> bool:
        """Whether anything is ever waited for."""
        return self.rate is not None

    def step(self, count: int) -> int:
        """How many of `count` bytes to send at once."""
        return count if self.rate is None else min(count, max(int(self.rate * _STEP), _LEAST_STEP))

    async def turn(self, count: int) -> None:
        """Wait until `count` bytes may be sent: as long as all takes whose turn is before theirs."""
        if self.rate is None:
            return
        now = time.monotonic()
        begin = max(self._due, now)
        self._due = begin + count / self.rate
        try:
            await anyio.sleep(begin - now)
        except BaseException:
            self.give_back(count)
            raise

    def give_back(self, count: int) -> None:
        """Take note that `count` bytes were not sent when it was their turn."""
        if self.rate is not None:
            self._due -= count / self.rate


UNLIMITED: Final = Pace(None)


class Paces:
    """Paces by what tokens say: a signature can be written in several ways, what is signed in one only."""

    def __init__(self) -> None:
        self._known = Recent[bytes, Pace](_REMEMBERED)

    def of(self, token: str, rate: int | None) -> Pace:
        """The pace of a good token; the same for all requests with it."""
        if rate is None:
            return UNLIMITED
        key = hashlib.sha256(token.rpartition(".")[0].encode()).digest()
        pace = self._known.setdefault(key, Pace(rate))
        self._known.move_to_end(key)
        return pace
