"""Builds a memory bus and holds its smaller parts."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from uuid import UUID, uuid4

import anyio

from bus.codec import decode_document, decode_envelope, encode_document, is_wanted
from bus.contract import Broadcasted, Bus, Gap, LaneStatus, Member, Position, ReaderStatus, Record, Trimmed
from bus.memory.command_queue import MemoryQueue
from bus.memory.dead_letters import MemoryDeadLetters
from bus.memory.history import MemoryHistory
from bus.memory.lanes import MemoryLanes
from bus.memory.store import MemoryStore, StoredRecord, now
from bus.settings import BusSettings
from domain.catalogue import Change
from domain.envelope import Envelope
from domain.errors import ConflictError
from domain.ids import VolumeName, uuid7


@asynccontextmanager
async def open_memory_bus(store: MemoryStore, settings: BusSettings, node: str) -> AsyncIterator[Bus]:
    """A bus of one member on shared memory."""
    clock = MemoryClock()
    lanes = MemoryLanes(store, settings, node)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lanes.renew)
        yield Bus(
            node=node,
            clock=clock,
            commands=MemoryQueue(store, settings, clock),
            lanes=lanes,
            members=MemoryMembers(store, node),
            events=MemoryEvents(store),
            records=MemoryRecords(store),
            catalogue=MemoryCatalogue(store),
            leases=MemoryLeases(store),
            signals=MemorySignals(store),
            upkeep=MemoryUpkeep(),
            inspection=MemoryInspection(store),
            dead_letters=MemoryDeadLetters(store),
            history=MemoryHistory(store),
        )
        tasks.cancel_scope.cancel()


class MemoryClock:
    """The wall clock of this machine."""

    def now(self) -> float:
        """Unix time in seconds."""
        return now()

    def new_id(self) -> UUID:
        """A fresh UUIDv7."""
        return uuid7(int(now() * 1000), os.urandom(10))


class MemoryMembers:
    """Membership in memory."""

    def __init__(self, store: MemoryStore, node: str) -> None:
        self._store = store
        self._node = node

    @asynccontextmanager
    async def join(
        self, volumes: frozenset[VolumeName], knows: Mapping[str, int] | None = None
    ) -> AsyncIterator[None]:
        """Be a member until the context ends."""
        self._store.members[self._node] = Member(self._node, volumes, dict(knows or {}))
        self._store.ring()
        try:
            yield
        finally:
            self._store.members.pop(self._node, None)
            self._store.ring()

    def outgrow(self, volumes: frozenset[VolumeName]) -> None:
        """Tell the others which volumes are better owned by somebody else."""
        present = self._store.members.get(self._node)
        if present is not None and present.outgrown != volumes:
            self._store.members[self._node] = replace(present, outgrown=volumes)
            self._store.ring()

    async def view(self) -> Sequence[Member]:
        """The members, sorted by name."""
        await anyio.lowlevel.checkpoint()
        return [member for _, member in sorted(self._store.members.items())]

    async def wait_change(self, timeout_seconds: float) -> None:
        """Return at the next change or when the time is over."""
        await self._store.changed(timeout_seconds)


class MemorySignals:
    """Signals in memory."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self._heard = Counter(store.signals)

    async def ring(self, name: str) -> None:
        """Have everybody who waits for it look."""
        await anyio.lowlevel.checkpoint()
        self._store.signals[name] += 1
        self._store.ring()

    async def wait(self, name: str) -> None:
        """Return when it was rung."""
        await anyio.lowlevel.checkpoint()
        while self._heard[name] == self._store.signals[name]:
            await self._store.changed()
        self._heard[name] = self._store.signals[name]


class MemoryEvents:
    """Events in memory."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    async def publish(self, event: Envelope) -> None:
        """Append an event and project it."""
        await anyio.lowlevel.checkpoint()
        self._store.append(event)
        self._store.ring()

    @asynccontextmanager
    async def follow(self, reader: str, start: Position | None = None) -> AsyncIterator[MemorySubscription]:
        """Follow the broadcast as a named reader."""
        await anyio.lowlevel.checkpoint()
        first = int(start.entry) if start else len(self._store.broadcast)
        yield MemorySubscription(self._store, reader, self._store.readers.get(reader, first), None)

    @asynccontextmanager
    async def watch(
        self, after: Position | None = None, *, types: Collection[str] | None = None
    ) -> AsyncIterator[MemorySubscription]:
        """Follow the broadcast from a position, or from now on."""
        await anyio.lowlevel.checkpoint()
        start = int(after.entry) if after else len(self._store.broadcast)
        yield MemorySubscription(self._store, "", start, types)


class MemorySubscription:
    """One reader's view of the broadcast."""

    def __init__(self, store: MemoryStore, reader: str, start: int, types: Collection[str] | None) -> None:
        self._store = store
        self._reader = reader
        self._next = start
        self._types = types

    async def save(self, position: Position) -> None:
        """Remember that everything up to here was dealt with."""
        await anyio.lowlevel.checkpoint()
        self._store.readers[self._reader] = int(position.entry)

    async def __aiter__(self) -> AsyncIterator[Broadcasted | Gap]:
        """Events after the start position, waiting for new ones."""
        if self._next > len(self._store.broadcast):
            self._next = 0
            yield Gap(Position("0"))
        while True:
            while self._next < len(self._store.broadcast):
                data = self._store.broadcast[self._next]
                self._next += 1
                if is_wanted(data, self._types):
                    yield Broadcasted(Position(str(self._next)), decode_envelope(data))
            await self._store.changed()


class MemoryUpkeep:
    """Keeps the promise not to remove what is needed by removing nothing; what is here ends with its process."""

    async def trim(self, volume: VolumeName) -> Trimmed:
        """Remove nothing."""
        await anyio.lowlevel.checkpoint()
        del volume
        return Trimmed(0)

    async def trim_broadcast(self) -> Trimmed:
        """Remove nothing."""
        await anyio.lowlevel.checkpoint()
        return Trimmed(0)


class MemoryInspection:
    """Looking at memory."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    async def lane(self, volume: VolumeName) -> LaneStatus:
        """How one volume's queue stands."""
        await anyio.lowlevel.checkpoint()
        state = self._store.lanes[volume]
        open_commands = [command for command in state.commands if not command.done]
        oldest = max(0.0, now() - (open_commands[0].id.int >> 80) / 1000) if open_commands else None
        return LaneStatus(volume, state.owner, state.epoch, state.waiting, oldest, len(state.dead))

    async def readers(self) -> Sequence[ReaderStatus]:
        """Registered readers of the broadcast."""
        await anyio.lowlevel.checkpoint()
        return [ReaderStatus(name, Position(str(at)), 0.0) for name, at in sorted(self._store.readers.items())]


class MemoryRecords:
    """Documents in memory."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    async def create(
        self,
        name: str,
        document: Mapping[str, object],
        *,
        keep_seconds: float,
        due: float | None,
        changes: Sequence[Change] = (),
    ) -> bool:
        """Make a document and apply changes; False if it is there."""
        await anyio.lowlevel.checkpoint()
        if self._present(name):
            return False
        self._store.records[name] = StoredRecord(encode_document(document), 1, now() + keep_seconds, due)
        self._store.apply(changes)
        return True

    async def load(self, name: str) -> Record | None:
        """Read a document."""
        await anyio.lowlevel.checkpoint()
        stored = self._present(name)
        return Record(decode_document(stored.data), stored.revision) if stored else None

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
    ) -> bool:
        """Change a document, append an event and apply changes; False if it is not at this revision."""
        await anyio.lowlevel.checkpoint()
        stored = self._present(name)
        if stored is None or stored.revision != revision:
            return False
        data = encode_document(document)
        self._store.records[name] = StoredRecord(data, revision + 1, now() + keep_seconds, due)
        if event is not None:
            self._store.append(event)
        self._store.apply(changes)
        self._store.ring()
        return True

    async def remove(self, name: str, changes: Sequence[Change] = ()) -> None:
        """Drop a document, if it is there, and apply changes."""
        await anyio.lowlevel.checkpoint()
        self._store.records.pop(name, None)
        self._store.apply(changes)

    async def due(self, kind: str, *, before: float, limit: int) -> Sequence[str]:
        """Names of documents of a kind that are due, oldest first."""
        await anyio.lowlevel.checkpoint()
        found = [
            (stored.due, name)
            for name, stored in self._store.records.items()
            if name.startswith(f"{kind}:") and stored.due is not None and stored.due <= before
        ]
        return [name for _, name in sorted(found)[:limit]]

    def _present(self, name: str) -> StoredRecord | None:
        stored = self._store.records.get(name)
        return stored if stored and stored.expires > now() else None


class MemoryCatalogue:
    """Catalogue in memory."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    async def fields(self, names: Sequence[str]) -> Sequence[Mapping[str, str] | None]:
        """Records by name, None where there is none."""
        await anyio.lowlevel.checkpoint()
        found = [self._store.view.records.get(name) for name in names]
        return [dict(fields) if fields else None for fields in found]

    async def page(self, index: str, *, after: str = "", limit: int) -> Sequence[str]:
        """Members of an index after the given one, in byte order."""
        await anyio.lowlevel.checkpoint()
        members = sorted(self._store.view.indexes.get(index, ()), key=str.encode)
        return [member for member in members if member.encode() > after.encode()][:limit]

    async def count(self, index: str) -> int:
        """How many members an index has."""
        await anyio.lowlevel.checkpoint()
        return len(self._store.view.indexes.get(index, ()))

    async def apply(self, changes: Sequence[Change]) -> None:
        """Write records outside an event."""
        await anyio.lowlevel.checkpoint()
        self._store.apply(changes)


class MemoryLeases:
    """Leases in memory; a holder that lives keeps its lease."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    @asynccontextmanager
    async def hold(self, name: str, *, wait_seconds: float) -> AsyncIterator[MemoryLease]:
        """Hold a lease; tells the present holder that somebody waits, and waits for it to let go."""
        holder = uuid4().hex
        give_up = time.monotonic() + wait_seconds
        while name in self._store.leases:
            if time.monotonic() >= give_up:
                raise ConflictError(f"{name} is in use", lease=name)
            self._store.asked.add(self._store.leases[name][0])
            self._store.ring()
            await self._store.changed(0.02)
        self._store.leases[name] = (holder, now())
        try:
            yield MemoryLease(self._store, holder)
        finally:
            del self._store.leases[name]
            self._store.asked.discard(holder)
            self._store.ring()

    async def held(self, names: Sequence[str]) -> Sequence[bool]:
        """Whether anybody holds each of these leases."""
        await anyio.lowlevel.checkpoint()
        return [name in self._store.leases for name in names]


class MemoryLease:
    """A held lease; nobody can take it away."""

    def __init__(self, store: MemoryStore, holder: str) -> None:
        self._store = store
        self._holder = holder

    async def confirm(self) -> None:
        """Return: it is ours."""
        await anyio.lowlevel.checkpoint()

    async def wait_asked(self) -> None:
        """Return when somebody else waits for the lease."""
        while self._holder not in self._store.asked:
            await self._store.changed()

    async def wait_lost(self) -> None:
        """Never return."""
        await anyio.sleep_forever()
