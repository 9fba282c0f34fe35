"""Which deliveries may run now: one at a time per key, some keys at once, exclusive ones alone.

Pure bookkeeping. Rules: items of one key start in the order they came; an exclusive item starts when everything
before it is settled, and nothing behind it starts before it is settled. Settled is what was written down after it
had ended: an owner that died before would leave it to be done again, behind what followed it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Item(Generic[T]):
    """Something to run, in its place."""

    key: str
    exclusive: bool
    #: None: something that can only be done elsewhere; it never starts, and what is behind it waits with it.
    value: T | None


class Schedule(Generic[T]):
    """Items that wait, and keys that are busy."""

    def __init__(self, parallel: int) -> None:
        self._parallel = parallel
        self._waiting: deque[Item[T]] = deque()
        self._running = 0
        #: Keys of what runs, and of what has ended and is not settled.
        self._busy: set[str] = set()
        self._exclusive = False

    def add(self, item: Item[T]) -> None:
        """Queue an item behind all others."""
        self._waiting.append(item)

    def start(self) -> Sequence[Item[T]]:
        """Take out what may run now; each must be given to `end` once, and then to `settle`."""
        started: list[Item[T]] = []
        blocked: set[str] = set()
        for _ in range(len(self._waiting)):
            item = self._waiting.popleft()
            if self._may_start(item, blocked):
                self._running += 1
                self._busy.add(item.key)
                self._exclusive = item.exclusive
                started.append(item)
            else:
                self._waiting.append(item)
                blocked.add(item.key)
                if item.exclusive:
                    blocked.add(_EVERYTHING)
        return started

    def _may_start(self, item: Item[T], blocked: set[str]) -> bool:
        if item.value is None or self._exclusive or _EVERYTHING in blocked or self._running >= self._parallel:
            return False
        if item.exclusive:
            return not self._busy and not blocked
        return item.key not in self._busy and item.key not in blocked

    def end(self, item: Item[T]) -> None:
        """Say that a started item has ended, and others may run in its place."""
        self._running -= 1

    def settle(self, item: Item[T]) -> None:
        """Say that the end of an item was written down."""
        self._busy.discard(item.key)
        if item.exclusive:
            self._exclusive = False

    def drop_waiting(self) -> None:
        """Forget what has not started."""
        self._waiting.clear()


#: Stands for all keys; no key looks like it.
_EVERYTHING = "\0"
