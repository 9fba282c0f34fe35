"""Taking events over from outboxes: positions in a hash, moved by the script that appends."""

from __future__ import annotations

from collections.abc import Sequence

from bus.codec import encode_document, milliseconds
from bus.contract import Emitted
from bus.emission import EmittedRecord
from bus.streams import keys
from bus.streams.changes import Call
from bus.streams.records import due_index
from bus.streams.wiring import CLOCKS_SECONDS, Wiring
from domain.ids import VolumeName


class StreamOutboxes:
    """Positions of outboxes in Redis."""

    def __init__(self, wiring: Wiring) -> None:
        self._wiring = wiring

    async def position(self, volume: VolumeName, part: str) -> int | None:
        """Up to which byte a part was taken over."""
        found = await self._wiring.link.execute("HGET", keys.outbox(volume), part)
        return None if found is None else int(found)

    async def take(self, volume: VolumeName, part: str, start: int, end: int, emissions: Sequence[Emitted]) -> int:
        """Append events and move the position; said again, it finds that it was moved."""
        readable = [(found.emission, found.again) for found in emissions if found.emission is not None]
        now = self._wiring.clock.now()
        oldest = min((emission.event.time for emission, _ in readable), default=0.0)
        since = max(milliseconds(min(oldest, now) - CLOCKS_SECONDS), 0)
        old = int(oldest < now - CLOCKS_SECONDS)
        call = Call(
            (keys.outbox(volume), keys.events(volume), keys.BROADCAST),
            (part, start, end, since, old, len(readable)),
        )
        for emission, again in readable:
            call.args.append(int(again))
            _record(call, emission.record)
            call.event(emission.event, emission.event_data)
            if emission.record is not None:
                call.changes(emission.record.changes)
        taken = int(await self._wiring.scripts.call("outbox_take", call.keys, call.args))
        if taken == end and readable:
            self._wiring.observer.taken_over(volume, len(readable), max(now - oldest, 0.0))
        return taken

    async def forget(self, volume: VolumeName, part: str) -> None:
        """Drop a position."""
        await self._wiring.link.execute("HDEL", keys.outbox(volume), part)


def _record(call: Call, record: EmittedRecord | None) -> None:
    if record is None:
        call.args.append(0)
        return
    call.keys += (record.name, due_index(record.name))
    document = encode_document(record.document)
    call.args += (1, document, milliseconds(record.keep_seconds), record.revision, record.name)
