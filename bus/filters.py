"""Which messages somebody wants to see."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase

from domain.envelope import Envelope


@dataclass(frozen=True, slots=True)
class Filter:
    """Conditions that all have to hold; an empty one always does."""

    #: Type names; `*` stands for any characters.
    types: tuple[str, ...] = ()
    volume: str = ""
    #: Ordering key: a folder or a quota scope.
    key: str = ""
    #: Unix times between which the message was made; 0: no limit.
    since: float = 0.0
    until: float = 0.0

    def matches_type(self, name: str) -> bool:
        """Whether messages of a type may be wanted."""
        return not self.types or any(fnmatchcase(name, pattern) for pattern in self.types)

    def matches(self, envelope: Envelope) -> bool:
        """Whether a message is wanted."""
        subjects = (envelope.key, envelope.body.get("folder"), envelope.body.get("scope"))
        return (
            self.matches_type(envelope.type)
            and self.volume in ("", envelope.volume)
            and (not self.key or self.key in subjects)
            and (not self.since or envelope.time >= self.since)
            and (not self.until or envelope.time < self.until)
        )
