"""Reading what has been: commands and events as they stand on their streams."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from bus.codec import decode_envelope
from bus.contract import Position, Stored
from bus.streams import keys
from bus.streams.link import paired
from bus.streams.reader import parse_entry
from bus.streams.wiring import Wiring
from domain.envelope import Envelope
from domain.errors import MalformedEventError
from domain.ids import VolumeName


class StreamHistory:
    """Looking at Redis Streams; changes nothing but who is on the register, and scratch streams."""

    def __init__(self, wiring: Wiring) -> None:
        self._link = wiring.link

    async def commands(self, volume: VolumeName, *, after: Position, limit: int) -> Sequence[Stored]:
        """Commands of a volume after a position, oldest first."""
        return await self._read(keys.commands(volume), after, limit)

    async def events(self, volume: VolumeName | None, *, after: Position, limit: int) -> Sequence[Stored]:
        """Events of a volume, or of all, after a position, oldest first."""
        return await self._read(keys.BROADCAST if volume is None else keys.events(volume), after, limit)

    async def hold_commands(self, volume: VolumeName, reader: str, position: Position) -> None:
        """Keep a volume's commands after this position from being trimmed."""
        await self._link.execute("HSET", keys.command_readers(volume), reader, position.entry)

    async def copy(self, name: str, stored: Stored) -> None:
        """Append a message to a stream of its own, which nothing of Penstock reads."""
        await self._link.execute("XADD", keys.scratch(name), "*", "i", stored.id.bytes, "m", stored.original)

    async def _read(self, stream: str, after: Position, limit: int) -> Sequence[Stored]:
        found = await self._link.execute("XRANGE", stream, f"({after.entry}", "+", "COUNT", limit)
        return [_stored(entry.decode(), paired(fields)) for entry, fields in found]


def _stored(entry: str, fields: dict[bytes, Any]) -> Stored:
    original, raw_id = fields.get(b"m", b""), fields.get(b"i", b"")
    try:
        envelope: Envelope | None = decode_envelope(original)
    except MalformedEventError:
        envelope = None
    return Stored(
        position=Position(entry),
        time=parse_entry(entry)[0] / 1000,
        id=UUID(bytes=raw_id) if len(raw_id) == 16 else UUID(int=0),
        envelope=envelope,
        original=original,
    )
