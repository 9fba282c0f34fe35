"""Backend.AI's events, by their names and arguments. Pure.

Names, arguments and their order are those of `backend.ai-common` 26.3: an anycast event reaches one manager, a
broadcast one all of them; what tells of a background task is also kept for those who ask later.
"""

from __future__ import annotations

from dataclasses import dataclass

Argument = str | float | list[str] | None


@dataclass(frozen=True, slots=True)
class Anycast:
    """An event for one manager."""

    name: str
    arguments: tuple[Argument, ...]


@dataclass(frozen=True, slots=True)
class Broadcast:
    """An event for all who listen."""

    name: str
    arguments: tuple[Argument, ...]
    #: The background task it tells of; empty: none.
    task: str = ""


Word = Anycast | Broadcast
