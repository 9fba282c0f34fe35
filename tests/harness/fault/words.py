"""What commands of a fault run are about, and what is remembered of each."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from uuid import UUID

from domain.envelope import Envelope, Reply
from domain.ids import QuotaScopeId, ScopeKind, VFolderId

#: Last three digits of the id of a folder whose making kills or hangs the actor, or eats its memory.
POISON_KILL = 666
POISON_HANG = 777
POISON_EAT = 888
#: Exit code of an actor that has no Redis or no volume to begin with, or no memory to go on.
CANNOT_GO_ON = 75
#: Added to a limit that no volume takes until it is found out why.
SICK_BYTES = 13


def scope_of(client: int) -> QuotaScopeId:
    """Each client has a scope of its own."""
    return QuotaScopeId(ScopeKind.USER, UUID(int=1 + client))


def folder_of(client: int, chance: random.Random, ending: int | None = None) -> VFolderId:
    """A new folder; its id says whether it is poison."""
    number = chance.getrandbits(100) * 1000
    return VFolderId(scope_of(client), UUID(int=number + (chance.randrange(600) if ending is None else ending)))


@dataclass
class Sent:
    """One command, and what its sender was told."""

    command: Envelope
    #: Place in its lane; empty: it was never said to be accepted.
    entry: str = ""
    reply: Reply | None = None
    #: What sending it once more in the end gave.
    again: Reply | None = None


@dataclass
class History:
    """Everything that was sent and seen."""

    sent: list[Sent] = field(default_factory=list)
    #: Events as a follower that comes and goes saw them: id -> envelope, in the order of their first coming.
    events: dict[UUID, Envelope] = field(default_factory=dict)
    #: The same, as a slow one saw them.
    slow: dict[UUID, Envelope] = field(default_factory=dict)
    #: Commands that only a primary had that is gone, and whose effects were found on the volumes.
    restored: set[UUID] = field(default_factory=set)
    #: Dead letters that were tried again.
    redriven: set[object] = field(default_factory=set)
    gaps: int = 0
    #: How often a sender was told to come back later, and the most that waited on one lane.
    busy: int = 0
    deepest: int = 0
    #: How long commands were sent, in seconds.
    sent_seconds: float = 0.0
    #: What was done to the system, in order.
    faults: list[str] = field(default_factory=list)
    #: How long it took after the faults until nothing waited, in seconds.
    drained_seconds: float | None = None

    @property
    def accepted(self) -> list[Sent]:
        """Commands that were accepted, lane by lane in their order."""
        return sorted(
            (sent for sent in self.sent if sent.entry),
            key=lambda sent: (sent.command.volume, *map(int, sent.entry.split("-"))),
        )
