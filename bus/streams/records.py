"""Shared documents by compare-and-set, and the catalogue."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from bus.codec import decode_document, encode_document, milliseconds
from bus.contract import Lease, Record
from bus.streams import keys
from bus.streams.changes import Call
from bus.streams.link import paired
from bus.streams.wiring import Wiring
from domain.catalogue import Change
from domain.envelope import Envelope


class StreamRecords:
    """Documents in Redis hashes: a revision and msgpack bytes."""

    def __init__(self, wiring: Wiring) -> None:
        self._wiring = wiring

    async def create(
        self,
        name: str,
        document: Mapping[str, object],
        *,
        keep_seconds: float,
        due: float | None,
        changes: Sequence[Change] = (),
    ) -> bool:
        """Make a document and apply changes in one step; False if it is there."""
        call = Call(
            (name, due_index(name)),
            (encode_document(document), milliseconds(keep_seconds), "" if due is None else milliseconds(due), name),
        )
        call.changes(changes)
        return bool(await self._wiring.scripts.call("record_create", call.keys, call.args))

    async def load(self, name: str) -> Record | None:
        """Read a document."""
        revision, data = await self._wiring.link.execute("HMGET", name, "r", "d")
        return None if revision is None else Record(decode_document(data), int(revision))

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
        """Change a document, append an event and apply changes in one step; False if it is not at this revision."""
        own = keys.events(event.volume) if event else keys.BROADCAST
        held = lease.name if lease is not None else ""
        call = Call(
            (name, due_index(name), own, keys.BROADCAST, keys.lease(held), keys.lease_taken(held)),
            (
                revision,
                encode_document(document),
                milliseconds(keep_seconds),
                "" if due is None else milliseconds(due),
                name,
                lease.holder if lease is not None else "",
            ),
        )
        call.events([event] if event else [])
        call.changes(changes)
        return bool(await self._wiring.scripts.call("record_replace", call.keys, call.args))

    async def remove(self, name: str, changes: Sequence[Change] = ()) -> None:
        """Drop a document, if it is there, and apply changes in one step."""
        call = Call((name, due_index(name)), (name,))
        call.changes(changes)
        await self._wiring.scripts.call("record_remove", call.keys, call.args)

    async def apply_without(self, name: str, changes: Sequence[Change]) -> bool:
        """Apply changes if there is no such document."""
        call = Call((name,), ())
        call.changes(changes)
        return bool(await self._wiring.scripts.call("apply_without", call.keys, call.args))

    async def due(self, kind: str, *, before: float, limit: int) -> Sequence[str]:
        """Names of documents of a kind that are due, oldest first."""
        names = await self._wiring.link.execute(
            "ZRANGEBYSCORE",
            keys.due(kind),
            "-inf",
            "+inf" if before == math.inf else milliseconds(before),
            "LIMIT",
            0,
            limit,
        )
        return [name.decode() for name in names]


class StreamCatalogue:
    """Catalogue records in Redis hashes, indexes in sorted sets ordered by member."""

    def __init__(self, wiring: Wiring) -> None:
        self._wiring = wiring

    async def fields(self, names: Sequence[str]) -> Sequence[Mapping[str, str] | None]:
        """Records by name, None where there is none."""
        answers = await self._wiring.link.execute_all([("HGETALL", name) for name in names])
        return [
            {key.decode(): value.decode() for key, value in paired(answer).items()} or None for answer in answers
        ]

    async def page(self, index: str, *, after: str = "", limit: int) -> Sequence[str]:
        """Members of an index after the given one, in byte order."""
        start = f"({after}" if after else "-"
        members = await self._wiring.link.execute("ZRANGEBYLEX", index, start, "+", "LIMIT", 0, limit)
        return [member.decode() for member in members]

    async def count(self, index: str) -> int:
        """How many members an index has."""
        return int(await self._wiring.link.execute("ZCARD", index))

    async def apply(self, changes: Sequence[Change]) -> None:
        """Write records outside an event."""
        call = Call((), ())
        call.changes(changes)
        await self._wiring.scripts.call("apply", call.keys, call.args)


def due_index(name: str) -> str:
    """Key of the index of the records of a name's kind that are due."""
    return keys.due(name.partition(":")[0])
