"""What Redis would hold: shared by all memory buses of one test."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

import anyio

from bus.codec import encode_envelope
from bus.contract import DeadLetter, Member, Stored
from domain.catalogue import Change
from domain.envelope import Envelope, Reply
from domain.ids import VolumeName
from domain.projection import project
from domain.view import View


@dataclass(slots=True)
class StoredCommand:
    """One accepted command."""

    number: int
    id: UUID
    data: bytes
    #: Whether an outcome was committed, or it was moved elsewhere.
    done: bool = False
    key: str = ""
    #: Whether an owner was given it.
    handed: bool = False


@dataclass(slots=True)
class LaneState:
    """What is shared about a volume's lane."""

    owner: str = ""
    epoch: int = 0
    expires: float = 0.0
    commands: list[StoredCommand] = field(default_factory=list)
    by_id: dict[UUID, StoredCommand] = field(default_factory=dict)
    replies: dict[UUID, Reply] = field(default_factory=dict)
    dead: list[DeadLetter] = field(default_factory=list)
    #: Key -> dead letter its commands wait behind.
    quarantine: dict[str, str] = field(default_factory=dict)
    parked: list[StoredCommand] = field(default_factory=list)
    suspects: dict[str, int] = field(default_factory=dict)
    crashes: int = 0
    events: list[bytes] = field(default_factory=list)

    def append(self, id_: UUID, data: bytes, *, done: bool = False) -> StoredCommand:
        """Put a command behind all others."""
        stored = StoredCommand(len(self.commands) + 1, id_, data, done)
        self.commands.append(stored)
        self.by_id[id_] = stored
        return stored

    @property
    def waiting(self) -> int:
        """Commands accepted and not yet committed."""
        return len(self.parked) + sum(not command.done for command in self.commands)


@dataclass(slots=True)
class StoredRecord:
    """One shared document."""

    data: bytes
    revision: int
    expires: float
    due: float | None


class MemoryStore:
    """All shared state, and one event that is rung at every change."""

    def __init__(self) -> None:
        self.lanes: dict[VolumeName, LaneState] = defaultdict(LaneState)
        self.broadcast: list[bytes] = []
        #: Up to where parts of outboxes were taken over.
        self.outboxes: dict[tuple[VolumeName, str], int] = {}
        self.readers: dict[str, int] = {}
        #: How often each signal was rung.
        self.signals: Counter[str] = Counter()
        self.records: dict[str, StoredRecord] = {}
        self.view = View()
        self.leases: dict[str, tuple[str, float]] = {}
        self.asked: set[str] = set()
        self.members: dict[str, Member] = {}
        self.scratch: dict[str, list[Stored]] = defaultdict(list)
        self._changed = anyio.Event()

    def ring(self) -> None:
        """Wake everybody who waits for a change."""
        self._changed.set()
        self._changed = anyio.Event()

    async def changed(self, timeout_seconds: float = 0.5) -> None:
        """Return at the next change; or soon, so that time alone can change something, too."""
        changed = self._changed
        with anyio.move_on_after(timeout_seconds):
            await changed.wait()

    def record(self, name: str) -> StoredRecord | None:
        """A shared document, if it is there and not over its time."""
        stored = self.records.get(name)
        return stored if stored and stored.expires > now() else None

    def append(self, event: Envelope) -> None:
        """Append an event to its volume and the broadcast, and project it."""
        data = encode_envelope(event)
        self.lanes[event.volume].events.append(data)
        self.broadcast.append(data)
        self.apply(project(event))

    def apply(self, changes: Sequence[Change]) -> None:
        """Change the catalogue."""
        for change in changes:
            self.view.apply(change)


def now() -> float:
    """Unix time in seconds, to the millisecond; all memory buses share it."""
    return round(time.time(), 3)
