"""Taking events over from outboxes, in memory."""

from __future__ import annotations

from collections.abc import Sequence

import anyio

from bus.codec import decode_envelope, encode_document
from bus.contract import Emitted
from bus.emission import Emission, EmittedRecord
from bus.memory.store import MemoryStore, StoredRecord, now
from domain.ids import VolumeName


class MemoryOutboxes:
    """Positions of outboxes in memory."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    async def position(self, volume: VolumeName, part: str) -> int | None:
        """Up to which byte a part was taken over."""
        await anyio.lowlevel.checkpoint()
        return self._store.outboxes.get((volume, part))

    async def take(self, volume: VolumeName, part: str, start: int, end: int, emissions: Sequence[Emitted]) -> int:
        """Append events and move the position."""
        await anyio.lowlevel.checkpoint()
        at = self._store.outboxes.get((volume, part))
        if (at or 0) != start:
            return at or 0
        for emission, again in emissions:
            if emission is None:
                continue
            unsure = again or at is None or self._has_changed(emission.record)
            if not (unsure and self._is_there(emission)):
                self._append(emission)
        self._store.outboxes[volume, part] = end
        self._store.ring()
        return end

    async def forget(self, volume: VolumeName, part: str) -> None:
        """Drop a position."""
        await anyio.lowlevel.checkpoint()
        self._store.outboxes.pop((volume, part), None)

    def _is_there(self, emission: Emission) -> bool:
        event = emission.event
        return any(decode_envelope(data).id == event.id for data in self._store.lanes[event.volume].events)

    def _has_changed(self, record: EmittedRecord | None) -> bool:
        """Whether somebody else may have told the same."""
        return record is not None and self._revision(record) != record.revision

    def _revision(self, record: EmittedRecord) -> int:
        stored = self._store.record(record.name)
        return stored.revision if stored is not None else 0

    def _append(self, emission: Emission) -> None:
        if emission.record is not None:
            self._tell(emission.record)
        self._store.append(emission.event)

    def _tell(self, record: EmittedRecord) -> None:
        data, revision = encode_document(record.document), self._revision(record) + 1
        self._store.records[record.name] = StoredRecord(data, revision, now() + record.keep_seconds, None)
        self._store.apply(record.changes)
