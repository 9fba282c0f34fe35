"""Reading what has been, in memory."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import anyio

from bus.codec import decode_envelope
from bus.contract import Position, Stored
from bus.memory.store import MemoryStore
from domain.envelope import Envelope
from domain.errors import MalformedEventError
from domain.ids import VolumeName

_NOBODY = UUID(int=0)


class MemoryHistory:
    """Looking at memory; places are counted from one."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    async def commands(self, volume: VolumeName, *, after: Position, limit: int) -> Sequence[Stored]:
        """Commands of a volume after a position, oldest first."""
        found = [command.data for command in self._store.lanes[volume].commands]
        return await self._read(found, after, limit)

    async def events(self, volume: VolumeName | None, *, after: Position, limit: int) -> Sequence[Stored]:
        """Events of a volume, or of all, after a position, oldest first."""
        found = self._store.broadcast if volume is None else self._store.lanes[volume].events
        return await self._read(found, after, limit)

    async def hold_commands(self, volume: VolumeName, reader: str, position: Position) -> None:
        """Nothing is ever trimmed here."""
        await anyio.lowlevel.checkpoint()

    async def copy(self, name: str, stored: Stored) -> None:
        """Append a message to a stream of its own."""
        await anyio.lowlevel.checkpoint()
        self._store.scratch[name].append(stored)

    @staticmethod
    async def _read(found: Sequence[bytes], after: Position, limit: int) -> Sequence[Stored]:
        await anyio.lowlevel.checkpoint()
        first = int(after.entry.partition("-")[0])
        return [_stored(number + 1, found[number]) for number in range(first, min(first + limit, len(found)))]


def _stored(number: int, data: bytes) -> Stored:
    envelope: Envelope | None
    try:
        envelope = decode_envelope(data)
    except MalformedEventError:
        envelope = None
    return Stored(
        position=Position(str(number)),
        time=envelope.time if envelope else 0.0,
        id=envelope.id if envelope else _NOBODY,
        envelope=envelope,
        original=data,
    )
