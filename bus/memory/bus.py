"""Builds a memory bus and holds its smaller parts."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from uuid import UUID

import anyio

from bus.contract import Bus, LaneStatus, Position, ReaderStatus, Trimmed
from bus.memory.command_queue import MemoryQueue
from bus.memory.dead_letters import MemoryDeadLetters
from bus.memory.events import MemoryEvents
from bus.memory.history import MemoryHistory
from bus.memory.lanes import MemoryLanes
from bus.memory.leases import MemoryLeases
from bus.memory.members import MemoryMembers, MemorySignals
from bus.memory.outboxes import MemoryOutboxes
from bus.memory.records import MemoryRecords
from bus.memory.store import MemoryStore, now
from bus.settings import BusSettings
from domain.catalogue import Change
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
            outboxes=MemoryOutboxes(store),
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
