"""Events in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager

import anyio

from bus.codec import decode_envelope, is_wanted
from bus.contract import Broadcasted, Gap, Position
from bus.memory.store import MemoryStore
from domain.envelope import Envelope


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
        yield MemorySubscription(self._store, reader, self._store.readers.setdefault(reader, first), None)

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
