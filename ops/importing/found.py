"""What was found in somebody else's settings, in our words."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

#: A key of ours, such as `("gateway", "client", "port")`.
Key = tuple[str, ...]


class LeftOut(NamedTuple):
    """A volume that is not served as it stands, for whoever finishes it by hand."""

    name: str
    backend: str
    path: Path | None
    why: str


@dataclass(slots=True)
class Imported:
    """Settings in our words, and what became of each of theirs."""

    values: dict[Key, object] = field(default_factory=dict)
    #: Key of `[gateway]` -> the secret.
    secrets: dict[str, str] = field(default_factory=dict)
    #: Their key -> ours, which may be several.
    origins: dict[str, list[Key]] = field(default_factory=dict)
    #: Their key -> why it is not taken, or not as it is.
    notes: dict[str, str] = field(default_factory=dict)
    left_out: list[LeftOut] = field(default_factory=list)

    @property
    def taken(self) -> dict[str, str]:
        """Their key -> ours, for people."""
        return {theirs: ", ".join(map(".".join, keys)) for theirs, keys in self.origins.items()}

    def put(self, theirs: str, ours: Key, value: object) -> None:
        """Take a setting over."""
        self.values[ours] = value
        self.came_from(theirs, ours)

    def came_from(self, theirs: str, ours: Key) -> None:
        """Tell that a key of theirs went into one of ours."""
        keys = self.origins.setdefault(theirs, [])
        if ours not in keys:
            keys.append(ours)

    def note(self, theirs: str, why: str) -> None:
        """Tell something about a key; what was told of it before stays."""
        before = self.notes.get(theirs)
        self.notes[theirs] = f"{before}; {why}" if before and before != why else why

    def refuse(self, ours: Key, why: str) -> None:
        """Take a setting out again, and tell why."""
        del self.values[ours]
        for theirs, keys in list(self.origins.items()):
            if ours in keys:
                keys.remove(ours)
                self.note(theirs, f"not taken into {'.'.join(ours)}: {why}")
                if not keys:
                    del self.origins[theirs]
