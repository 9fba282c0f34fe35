"""Membership and signals in memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import anyio

from bus.contract import Member
from bus.memory.store import MemoryStore
from domain.ids import VolumeName


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
