"""What was known last, and no more of it than there is room for."""

from __future__ import annotations

from collections import OrderedDict
from contextlib import suppress
from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Recent(OrderedDict[K, V]):
    """A dictionary that forgets what was set, or moved to the end, longest ago.

    Several threads may use one: what is set again is never missing meanwhile. What they set at the same time may
    push out more than has to go.

    Args:
        most: entries there are at most.
    """

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most

    def __setitem__(self, key: K, value: V) -> None:
        super().__setitem__(key, value)
        with suppress(KeyError):  # another thread has just pushed it out
            self.move_to_end(key)
        if len(self) > self._most:
            self.popitem(last=False)
