"""What a handler is given and what it returns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from actors.handlers.arrivals import Arrivals
from backends.contract import Volume
from bus.contract import Catalogue
from bus.usage import ScopeUsage
from domain.messages import Event


@dataclass(frozen=True, slots=True)
class Ground:
    """What a handler works on."""

    volume: Volume
    usage: ScopeUsage
    catalogue: Catalogue
    #: What comes to its scopes at once.
    arrivals: Arrivals = field(init=False)

    def __post_init__(self) -> None:
        """Judge arrivals by what is used here."""
        object.__setattr__(self, "arrivals", Arrivals(self.usage, self.catalogue))


@dataclass(frozen=True, slots=True)
class Effect:
    """What happened: events in order, and facts for whoever waits for the reply."""

    events: Sequence[Event]
    result: Mapping[str, object] = field(default_factory=dict)
