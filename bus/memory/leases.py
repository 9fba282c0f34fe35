"""Leases in memory."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from uuid import uuid4

import anyio

from bus.memory.store import MemoryStore, now
from domain.errors import ConflictError


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
            present = self._store.leases[name][0]
            if present not in self._store.asked:  # or those who wait would wake each other all the time
                self._store.asked.add(present)
                self._store.ring()
            await self._store.changed(0.02)
        self._store.leases[name] = (holder, now())
        try:
            yield MemoryLease(self._store, name, holder)
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

    def __init__(self, store: MemoryStore, name: str, holder: str) -> None:
        self._store = store
        self.name = name
        self.holder = holder

    async def confirm(self) -> None:
        """Return: it is ours."""
        await anyio.lowlevel.checkpoint()

    async def wait_asked(self) -> None:
        """Return when somebody else waits for the lease."""
        while self.holder not in self._store.asked:
            await self._store.changed()

    async def wait_lost(self) -> None:
        """Never return."""
        await anyio.sleep_forever()
