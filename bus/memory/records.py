"""Documents in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import anyio

from bus.codec import decode_document, encode_document
from bus.contract import Lease, Record
from bus.memory.store import MemoryStore, StoredRecord, now
from domain.catalogue import Change
from domain.envelope import Envelope
from domain.errors import FencedError


class MemoryRecords:
    """Documents in memory."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    async def create(
        self,
        name: str,
        document: Mapping[str, object],
        *,
        keep_seconds: float,
        due: float | None,
        changes: Sequence[Change] = (),
    ) -> bool:
        """Make a document and apply changes; False if it is there."""
        await anyio.lowlevel.checkpoint()
        if self._store.record(name):
            return False
        self._store.records[name] = StoredRecord(encode_document(document), 1, now() + keep_seconds, due)
        self._store.apply(changes)
        return True

    async def load(self, name: str) -> Record | None:
        """Read a document."""
        await anyio.lowlevel.checkpoint()
        stored = self._store.record(name)
        return Record(decode_document(stored.data), stored.revision) if stored else None

    async def replace(
        self,
        name: str,
        document: Mapping[str, object],
        *,
        revision: int,
        keep_seconds: float,
        due: float | None,
        event: Envelope | None = None,
        changes: Sequence[Change] = (),
        lease: Lease | None = None,
    ) -> bool:
        """Change a document, append an event and apply changes; False if it is not at this revision."""
        await anyio.lowlevel.checkpoint()
        if lease is not None and self._store.leases.get(lease.name, ("",))[0] != lease.holder:
            raise FencedError(f"{lease.name} has another owner")
        stored = self._store.record(name)
        if stored is None or stored.revision != revision:
            return False
        data = encode_document(document)
        self._store.records[name] = StoredRecord(data, revision + 1, now() + keep_seconds, due)
        if event is not None:
            self._store.append(event)
        self._store.apply(changes)
        self._store.ring()
        return True

    async def remove(self, name: str, changes: Sequence[Change] = ()) -> None:
        """Drop a document, if it is there, and apply changes."""
        await anyio.lowlevel.checkpoint()
        self._store.records.pop(name, None)
        self._store.apply(changes)

    async def apply_without(self, name: str, changes: Sequence[Change]) -> bool:
        """Apply changes if there is no such document."""
        await anyio.lowlevel.checkpoint()
        if self._store.record(name) is not None:
            return False
        self._store.apply(changes)
        return True

    async def due(self, kind: str, *, before: float, limit: int) -> Sequence[str]:
        """Names of documents of a kind that are due, oldest first."""
        await anyio.lowlevel.checkpoint()
        found = [
            (stored.due, name)
            for name, stored in self._store.records.items()
            if name.startswith(f"{kind}:") and stored.due is not None and stored.due <= before
        ]
        return [name for _, name in sorted(found)[:limit]]
