"""Reading how queues and readers stand."""

from __future__ import annotations

from collections.abc import Sequence

from bus.contract import LaneStatus, Position, ReaderStatus
from bus.streams import keys
from bus.streams.link import paired
from bus.streams.reader import parse_entry
from bus.streams.wiring import Wiring
from domain.ids import VolumeName


class StreamInspection:
    """Looking at Redis."""

    def __init__(self, wiring: Wiring) -> None:
        self._link = wiring.link
        self._clock = wiring.clock

    async def lane(self, volume: VolumeName) -> LaneStatus:
        """How one volume's queue stands."""
        owner, epoch, enq, ack, cursor = await self._link.execute(
            "HMGET", keys.lane(volume), "owner", "epoch", "enq", "ack", "cursor"
        )
        oldest = await self._link.execute("XRANGE", keys.commands(volume), _after(cursor), "+", "COUNT", 1)
        dead = await self._link.execute("XLEN", keys.dead_letters(volume))
        return LaneStatus(
            volume=volume,
            owner=(owner or b"").decode(),
            epoch=int(epoch or 0),
            waiting=int(enq or 0) - int(ack or 0),
            oldest_seconds=self._age(parse_entry(oldest[0][0].decode())[0]) if oldest else None,
            dead_letters=dead,
        )

    async def readers(self) -> Sequence[ReaderStatus]:
        """Registered readers of the broadcast."""
        positions = paired(await self._link.execute("HGETALL", keys.READERS))
        seen = paired(await self._link.execute("ZRANGE", keys.READERS_SEEN, 0, -1, "WITHSCORES"))
        return [
            ReaderStatus(reader.decode(), Position(position.decode()), self._age(float(seen.get(reader, 0))))
            for reader, position in sorted(positions.items())
        ]

    def _age(self, milliseconds: float) -> float:
        return round(max(0.0, self._clock.now() - milliseconds / 1000), 3)


def _after(cursor: bytes | None) -> str:
    return f"({cursor.decode()}" if cursor else "-"
