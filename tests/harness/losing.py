"""Leases that somebody else gets while their holders stand still, as those of a process that was stopped."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest

from bus.memory.leases import MemoryLease, MemoryLeases
from bus.memory.store import MemoryStore
from domain.errors import FencedError


class Losing:
    """The leases of a world, from now on.

    A holder whose lease went on learns of that when it asks, and not before.
    """

    def __init__(self, store: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
        self._store = store
        hold, confirm = MemoryLeases.hold, MemoryLease.confirm

        @asynccontextmanager
        async def losable(leases: MemoryLeases, name: str, *, wait_seconds: float) -> AsyncIterator[MemoryLease]:
            inner = hold(leases, name, wait_seconds=wait_seconds)
            lease = await inner.__aenter__()
            mine = store.leases[name]
            try:
                yield lease
            finally:
                other = store.leases.get(name)
                store.leases[name] = mine
                await inner.__aexit__(None, None, None)
                if other not in (None, mine):
                    store.leases[name] = other

        async def confirmed(lease: MemoryLease) -> None:
            await confirm(lease)
            if lease.holder not in [holder for holder, _ in store.leases.values()]:
                raise FencedError("somebody else has it")

        monkeypatch.setattr(MemoryLeases, "hold", losable)
        monkeypatch.setattr(MemoryLease, "confirm", confirmed)

    async def lose(self, session: str) -> None:
        """Have an upload's lease be free."""
        await anyio.lowlevel.checkpoint()
        del self._store.leases[f"upload:{session}"]
