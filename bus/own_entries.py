"""Entries of an outbox that this process has written itself, and so knows what they say."""

from __future__ import annotations

from typing import Final

from bus.emission import Emission
from domain.outbox import Place

#: Entries remembered at most; what is more is read from the outbox.
_MOST: Final = 1000


class Own:
    """By where they begin. For one event loop."""

    def __init__(self) -> None:
        self._entries: dict[tuple[str, int], tuple[int, Emission]] = {}

    def add(self, place: Place, emission: Emission) -> None:
        """Remember one."""
        if len(self._entries) < _MOST:
            self._entries[place.part, place.start] = place.end, emission

    def behind(self, part: str, at: int, most: int) -> list[tuple[int, Emission]]:
        """Those that follow each other from a place on, with where each ends; they are forgotten."""
        found: list[tuple[int, Emission]] = []
        while len(found) < most and (entry := self._entries.pop((part, at), None)) is not None:
            found.append(entry)
            at = entry[0]
        if not self._entries or not found:
            # What stands before was taken over by somebody else, or is read from the outbox.
            self._entries.clear()
        return found
