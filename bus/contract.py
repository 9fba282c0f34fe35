"""What the bus promises, whatever carries it.

Commands   accepted once per id, kept until committed, delivered to the owner of the volume's lane, in order.
           Delivery is at least once; the lane remembers committed ids, so an effect that can recognise its own
           traces happens once.
Events     appended in the same atomic step that commits the command, that changes the record they tell of, or that
           moves the position up to which a volume's outbox is taken over.
           Each id appears once. Every follower sees them in one order per volume, from its saved position on.
Replies    durable until the reply time runs out; the same command id always gets the same answer.
Records    changed by compare-and-set; a change and its event are one step.
Leases     at most one holder as long as clocks run forward; a hint for efficiency, never a fence for storage.

Every method raises BusBrokenError when the store is away; each may be repeated safely with the same arguments.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NamedTuple, Protocol, Self
from uuid import UUID

from bus.emission import Emission
from bus.memo import Memo
from domain.catalogue import Change
from domain.envelope import Envelope, Reply
from domain.errors import InvalidRequestError
from domain.ids import VolumeName

_POSITION: Final = re.compile(r"[0-9]{1,15}(-[0-9]{1,15})?")


class Clock(Protocol):
    """The one clock all members agree on, to within a round trip."""

    def now(self) -> float:
        """Unix time in seconds."""

    def new_id(self) -> UUID:
        """A fresh UUIDv7 of this clock's time."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """Proof that a command was accepted."""

    entry: str
    #: Whether it had been accepted before; the first acceptance counts.
    duplicate: bool


class CommandQueue(Protocol):
    """Where commands for volumes go in."""

    async def publish(self, command: Envelope) -> Receipt:
        """Accept a command durably, once per id.

        Raises:
            BusyError: the lane's queue is full; nothing was accepted.
            InvalidRequestError: the id is no UUIDv7, or the envelope is larger than allowed.
        """

    async def request(self, command: Envelope, *, timeout_seconds: float) -> Reply:
        """Publish and wait for the answer; re-sends on connection loss.

        Raises:
            BusyError: as for publish.
            DeadlineExceededError: no answer in time. The owner refuses to start the command after that moment;
                if it had started already, the outcome is learnt by asking again with the same id.
        """


class Verdict(StrEnum):
    """How a command ended."""

    #: It took effect, or was refused for a business reason; the reply says which.
    DONE = "done"
    #: It can never be handled: set aside with its original bytes.
    DEAD = "dead"
    #: As DEAD; and later commands of its key wait until somebody has dealt with it.
    QUARANTINED = "quarantined"
    #: It waits behind a dead letter of its key: not answered, and out of the way of other keys.
    PARKED = "parked"


@dataclass(frozen=True, slots=True)
class Delivery:
    """One command as it came off a lane."""

    entry: str
    #: Idempotency key as stored beside the envelope.
    id: UUID
    #: The envelope, or None where the bytes are none; `fault` says why.
    envelope: Envelope | None
    fault: str = ""
    #: The bytes as they were stored.
    original: bytes = b""
    #: Whether an earlier owner may have begun it.
    again: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a delivery, to be committed in one step."""

    delivery: Delivery
    verdict: Verdict
    reply: Reply
    events: Sequence[Envelope] = ()
    #: For DEAD and QUARANTINED: why, in words.
    reason: str = ""
    #: How often it was tried.
    attempts: int = 0


class Lane(Protocol):
    """A volume's command queue while this member owns it.

    Used by one task at a time. Leaving it unused keeps the lease: renewal runs beside.
    """

    @property
    def volume(self) -> VolumeName:
        """Whose commands these are."""

    @property
    def epoch(self) -> int:
        """Grows with every change of owner."""

    @property
    def crashes(self) -> int:
        """How many owners in a row died; 0: the last one gave the lane back, or had ended well what it ran."""

    @property
    def suspects(self) -> Mapping[str, int]:
        """Entries the last owner had marked before it died, each with the number it gave."""

    async def mark_suspects(self, entries: Mapping[str, int]) -> None:
        """Leave word that these entries run now, each with a number for whoever finds it; none: all is well.

        Raises as `commit` does.
        """

    async def quarantined(self) -> frozenset[str]:
        """Keys whose commands wait behind a dead letter. Raises as `commit` does."""

    async def receive(self) -> Sequence[Delivery]:
        """Wait for commands not yet handed out, at most what the window has room for.

        The window is all that was handed out and not committed; while it is full nothing more is read.

        Raises:
            FencedError: the lease went to another owner.
        """

    async def commit(self, outcomes: Sequence[Outcome]) -> None:
        """Record outcomes: replies, events, dead letters and position, all or nothing.

        Order among outcomes of different keys is free. Waits for the store to come back as long as the lease
        may still be ours.

        Raises:
            FencedError: the lease went to another owner; nothing was recorded.
        """

    async def restore(self, memos: Sequence[Memo]) -> int:
        """Commit again what was committed once and then lost; tells how many of these that was.

        A command that only waits to be delivered again is left alone, unless it was done before one that is lost:
        then it is committed in its turn. Raises as `commit` does.

        Args:
            memos: what was done, in that order.
        """

    async def confirm(self) -> None:
        """Return at once while the lease is surely ours; wait while that is unknown.

        Call before every effect. Raises FencedError as soon as the lease is surely lost.
        """

    async def release(self) -> None:
        """Give the lane to whoever wants it next. What was not committed will be delivered to them."""


class Lanes(Protocol):
    """Ownership of volumes' lanes."""

    async def acquire(self, volume: VolumeName, *, min_epoch: int = 0) -> Lane | None:
        """Take the lane if it is free or its owner is gone; the new epoch is above `min_epoch` and all before.

        Returns None while another member owns it.
        """


@dataclass(frozen=True, slots=True)
class Member:
    """A process that handles commands."""

    node: str
    volumes: frozenset[VolumeName]
    #: Command types it knows, each with its newest schema version.
    knows: Mapping[str, int] = field(default_factory=dict)
    #: Volumes on which it met a command it does not know and somebody else does.
    outgrown: frozenset[VolumeName] = frozenset()


class Members(Protocol):
    """Who is there to own lanes."""

    def join(
        self, volumes: frozenset[VolumeName], knows: Mapping[str, int] | None = None
    ) -> AbstractAsyncContextManager[None]:
        """Be a member that can own the lanes of these volumes and knows these commands, until the context ends."""

    def outgrow(self, volumes: frozenset[VolumeName]) -> None:
        """Tell the others from now on that these volumes, and no others, are better owned by somebody else."""

    async def view(self) -> Sequence[Member]:
        """The members seen alive lately, this one among them, sorted by name."""

    async def wait_change(self, timeout_seconds: float) -> None:
        """Return when a member came or went, or a lane became free, or the time is over."""


@dataclass(frozen=True, slots=True)
class Position:
    """A place in the broadcast. Opaque to everybody but the bus."""

    entry: str

    @classmethod
    def parse(cls, text: str, field: str) -> Self:
        """Read what was told of a position before.

        Args:
            field: where it was given.

        Raises:
            InvalidRequestError: nobody can have been told that.
        """
        if not _POSITION.fullmatch(text):
            raise InvalidRequestError("not a position in the events", field=field)
        return cls(text)


@dataclass(frozen=True, slots=True)
class Broadcasted:
    """One event as a follower sees it."""

    position: Position
    envelope: Envelope


@dataclass(frozen=True, slots=True)
class Gap:
    """Events are gone that the follower has not seen: whatever it knows from events it has to look up anew."""

    #: The next event is after this.
    position: Position


class Subscription(Protocol):
    """A follower's view of the broadcast."""

    def __aiter__(self) -> AsyncIterator[Broadcasted | Gap]:
        """Events after the start position, in order, waiting for new ones. Undecodable ones are passed over."""

    async def save(self, position: Position) -> None:
        """Remember that everything up to here was dealt with; the next start of this reader goes on from here."""


class Events(Protocol):
    """What has happened, on all volumes."""

    async def publish(self, event: Envelope) -> None:
        """Append an event that no command led to, and project it into the catalogue."""

    def follow(self, reader: str, start: Position | None = None) -> AbstractAsyncContextManager[Subscription]:
        """Follow the broadcast as a named reader: from its saved position, else from `start`, else from now on.

        From then on events are kept for it until it has dealt with them, and it goes on where it was.
        """

    def watch(
        self, after: Position | None = None, *, types: Collection[str] | None = None
    ) -> AbstractAsyncContextManager[Subscription]:
        """Follow the broadcast from a position, or from now on; nothing is kept for this follower.

        Args:
            types: only events of these types are told; None: all.
        """


class Emitted(NamedTuple):
    """An entry of an outbox, for the bus."""

    #: None: nobody can read it, and it is passed over.
    emission: Emission | None
    #: Whether it may have been appended before, because the same was written twice.
    again: bool = False


class Outboxes(Protocol):
    """How far events that were written down on volumes have been taken over from there.

    An outbox has parts, each a sequence of bytes that grows. Whoever reads one may do this, several at once.
    """

    async def position(self, volume: VolumeName, part: str) -> int | None:
        """Up to which byte a part was taken over; None: that was never told, or is forgotten."""

    async def take(self, volume: VolumeName, part: str, start: int, end: int, emissions: Sequence[Emitted]) -> int:
        """Append the events between two positions of a part, each once, with their records, in one step.

        Returns the position after that. If the part was not at `start` nothing is done, and where it is is told: 0
        if nothing was ever taken of it, or that is forgotten; then only events are appended that are not there.
        """

    async def forget(self, volume: VolumeName, part: str) -> None:
        """Drop the position of a part that is no more."""


@dataclass(frozen=True, slots=True)
class Record:
    """A shared document at one revision."""

    document: Mapping[str, object]
    revision: int


#: Revision of a document nobody has changed.
FIRST_REVISION: Final = 1


class Records(Protocol):
    """Small shared documents, changed by compare-and-set. Names look like `upload:<id>`."""

    async def create(
        self,
        name: str,
        document: Mapping[str, object],
        *,
        keep_seconds: float,
        due: float | None,
        changes: Sequence[Change] = (),
    ) -> bool:
        """Make a document, at `FIRST_REVISION`, and apply catalogue changes in the same step.

        Returns False, and does nothing, if it is there; so it is when the answer of a first try was lost. `due()`
        names it from Unix time `due` on; None: never.
        """

    async def load(self, name: str) -> Record | None:
        """Read a document."""

    async def replace(
        self,
        name: str,
        document: Mapping[str, object],
        *,
        revision: int,
        keep_seconds: float,
        due: float | None,
        event: Envelope | None = None,
        changes: Sequence[Change] = (),
        lease: Lease | None = None,
    ) -> bool:
        """Change a document and, in the same step, append `event` and apply catalogue changes besides those of it.

        Returns False, and does nothing, if the document is not at this revision. `due` None takes it off the list
        of `due()`.

        Raises:
            FencedError: somebody else may have had `lease` since it was taken; nothing is done.
        """

    async def remove(self, name: str, changes: Sequence[Change] = ()) -> None:
        """Drop a document, if it is there, and apply catalogue changes in the same step."""

    async def apply_without(self, name: str, changes: Sequence[Change]) -> bool:
        """Apply catalogue changes if there is no such document; tells whether that was so."""

    async def due(self, kind: str, *, before: float, limit: int) -> Sequence[str]:
        """Names of documents of a kind (what stands before the colon) that are due, oldest first.

        `before` infinite: all that ever will be.
        """


class Catalogue(Protocol):
    """The projection of events into records and indexes; see `domain.catalogue`."""

    async def fields(self, names: Sequence[str]) -> Sequence[Mapping[str, str] | None]:
        """Records by name, None where there is none."""

    async def page(self, index: str, *, after: str = "", limit: int) -> Sequence[str]:
        """Members of an index after the given one, in byte order."""

    async def count(self, index: str) -> int:
        """How many members an index has."""

    async def apply(self, changes: Sequence[Change]) -> None:
        """Write records outside an event: a fresh count, a rebuild."""


class Lease(Protocol):
    """Sole use of something, while it lasts."""

    #: What is held.
    name: str
    #: By whom, as all can see.
    holder: str

    async def confirm(self) -> None:
        """Return at once while the lease is surely ours; wait for some time while that is unknown.

        Raises:
            FencedError: somebody else has it.
            BusBrokenError: it stayed unknown.
        """

    async def wait_asked(self) -> None:
        """Return when somebody else waits for the lease. Whether to let go is the holder's choice."""

    async def wait_lost(self) -> None:
        """Return when somebody else has the lease."""


class Leases(Protocol):
    """Sole use of things by name."""

    def hold(self, name: str, *, wait_seconds: float) -> AbstractAsyncContextManager[Lease]:
        """Hold a lease; tells the present holder that somebody waits, and waits for it to let go or to die.

        Raises:
            ConflictError: the holder did not let go in time.
        """

    async def held(self, names: Sequence[str]) -> Sequence[bool]:
        """Whether anybody holds each of these leases."""


class Signals(Protocol):
    """Hints to every process to look at something; what there is to see is kept elsewhere."""

    async def ring(self, name: str) -> None:
        """Have everybody who waits for a signal look."""

    async def wait(self, name: str) -> None:
        """Return when a signal was rung since the last wait, or may have been while nothing could be heard."""


@dataclass(frozen=True, slots=True)
class Trimmed:
    """What was removed from a stream, and what keeps the rest."""

    removed: int
    #: The registered reader that holds events back longer than they would be kept; empty: none.
    holder: str = ""


class Upkeep(Protocol):
    """Keeping streams from growing for ever. Safe to do by anybody at any time."""

    async def trim(self, volume: VolumeName) -> Trimmed:
        """Remove a volume's old commands and events; never a command that is not done."""

    async def trim_broadcast(self) -> Trimmed:
        """Remove old events from the broadcast; never one a registered reader has not dealt with.

        A reader that did not show itself for long is taken off the register, and that is told to the observer.
        """


@dataclass(frozen=True, slots=True)
class LaneStatus:
    """How a volume's queue stands, for operators."""

    volume: VolumeName
    #: Member that owns the lane; empty: nobody.
    owner: str
    epoch: int
    #: Commands accepted and not done.
    waiting: int
    #: Age of the oldest command that is not done, in seconds; None if there is none.
    oldest_seconds: float | None
    #: Commands set aside for good.
    dead_letters: int


@dataclass(frozen=True, slots=True)
class ReaderStatus:
    """How far a registered reader of the broadcast is."""

    reader: str
    position: Position
    #: Since it last showed itself, in seconds.
    silent_seconds: float


class Inspection(Protocol):
    """Looking at queues and readers; changes nothing."""

    async def lane(self, volume: VolumeName) -> LaneStatus:
        """How one volume's queue stands; a volume never heard of has an empty one."""

    async def readers(self) -> Sequence[ReaderStatus]:
        """Registered readers of the broadcast, by name."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A message as it stands on its stream."""

    position: Position
    #: When it was put there (Unix time).
    time: float
    id: UUID
    #: None where nobody can read the bytes.
    envelope: Envelope | None
    original: bytes


class History(Protocol):
    """What has been, as far as it was not trimmed. `Position("0")` is before everything."""

    async def commands(self, volume: VolumeName, *, after: Position, limit: int) -> Sequence[Stored]:
        """Commands of a volume after a position, oldest first."""

    async def events(self, volume: VolumeName | None, *, after: Position, limit: int) -> Sequence[Stored]:
        """Events of a volume, or of all, after a position, oldest first."""

    async def hold_commands(self, volume: VolumeName, reader: str, position: Position) -> None:
        """Keep a volume's commands after this position from being trimmed."""

    async def copy(self, name: str, stored: Stored) -> None:
        """Append a message to a stream of its own, which nothing of Penstock reads."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A command that was set aside."""

    volume: VolumeName
    #: Its place among the volume's dead letters.
    letter: str
    id: UUID
    #: Why, in words.
    reason: str
    #: How often it was tried before it was set aside.
    attempts: int
    #: Epoch of the owner that set it aside, and when that was (Unix time).
    epoch: int
    time: float
    #: The bytes as they were accepted.
    original: bytes
    #: What they say, or None where nobody can read them.
    envelope: Envelope | None


class DeadLetters(Protocol):
    """What was set aside, and the ways to deal with it. Each way frees what was parked behind the letter."""

    async def page(self, volume: VolumeName, *, after: str = "", limit: int) -> Sequence[DeadLetter]:
        """Dead letters of a volume after a place, oldest first."""

    async def redrive(self, letter: DeadLetter) -> bool:
        """Have it tried again, under its own id; the answer that was given is forgotten. False: it is gone."""

    async def skip(self, letter: DeadLetter) -> bool:
        """Drop it. False: it is gone."""

    async def replace(self, letter: DeadLetter, command: Envelope) -> bool:
        """Have another command tried in its place, ahead of what was parked. False: it is gone."""


@dataclass(frozen=True, slots=True)
class Bus:
    """All parts, for one member. Built by `bus.streams` or `bus.memory`."""

    #: Unique name of this process.
    node: str
    clock: Clock
    commands: CommandQueue
    lanes: Lanes
    members: Members
    events: Events
    outboxes: Outboxes
    records: Records
    catalogue: Catalogue
    leases: Leases
    signals: Signals
    upkeep: Upkeep
    inspection: Inspection
    dead_letters: DeadLetters
    history: History
