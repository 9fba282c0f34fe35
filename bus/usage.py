"""What a folder uses, or all those of a quota scope: by the catalogue, or counted where that does not know.

Folders change while they are counted. Of what comes in meanwhile nobody can say whether the count has met it, so it
is added, and counted again soon; after any other change it is counted once more at once.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final, TypeGuard
from uuid import uuid4
from weakref import WeakValueDictionary

import anyio

from bus.contract import Catalogue, Clock
from bus.index_pages import index_pages
from domain.catalogue import (
    Bump,
    Default,
    Need,
    Recount,
    Remove,
    UsageMarks,
    UsageRecord,
    measured_usage,
    owner_index,
    parse_folder_member,
    usage_record,
)
from domain.errors import NotFoundError
from domain.ids import QuotaScopeId, VFolderId, VolumeName
from domain.usage import Usage

#: How often a folder is counted at most because it has changed meanwhile.
_TRIES: Final = 3
#: After how many times the time it took something is counted again: because it has grown meanwhile, or because
#: somebody is to be refused. Who comes again and again does not have a large folder counted without end.
_AGAIN_TIMES: Final = 20

#: Counts a folder on its volume, unfinished uploads left out.
CountFolder = Callable[[VFolderId], Awaitable[Usage]]
#: Returns when the catalogue has all that was told of on the volume before.
Settle = Callable[[], Awaitable[None]]


class _Turn:
    """Who counts a folder; the others wait."""

    def __init__(self) -> None:
        self.lock = anyio.Lock()
        #: When the last count began that came to its end, monotonic.
        self.began = float("-inf")


@dataclass(frozen=True, slots=True)
class _Asked:
    """What somebody wants to know."""

    need: Need
    max_age_seconds: float
    #: Since when, monotonic.
    at: float = field(default_factory=time.monotonic)


class ScopeUsage:
    """Usage of the scopes and folders of one volume.

    Args:
        max_age_seconds: how old a count may be for whoever does not have to be certain.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        clock: Clock,
        volume: VolumeName,
        count: CountFolder,
        max_age_seconds: float,
        settle: Settle,
    ) -> None:
        self._catalogue = catalogue
        self._clock = clock
        self._volume = volume
        self._count = count
        self._max_age = max_age_seconds
        self._settle = settle
        self._turns: WeakValueDictionary[VFolderId, _Turn] = WeakValueDictionary()

    async def used_bytes(self, scope: QuotaScopeId, need: Need = Need.CURRENT) -> int:
        """Bytes of files in all folders of a scope on this volume."""

        async def pages() -> AsyncIterator[list[VFolderId]]:
            async for members in index_pages(self._catalogue, owner_index(scope)):
                found = [parse_folder_member(member) for member in members]
                yield [folder for folder, volume in found if volume == self._volume]

        return await self._total(pages, need)

    async def folder_bytes(self, folder: VFolderId, need: Need = Need.CURRENT) -> int:
        """Bytes of files in one folder."""

        async def pages() -> AsyncIterator[list[VFolderId]]:
            yield [folder]

        return await self._total(pages, need)

    async def _total(self, pages: Callable[[], AsyncIterator[list[VFolderId]]], need: Need) -> int:
        asked = _Asked(need, self._max_age)
        if need is Need.CERTAIN:
            asked = replace(asked, max_age_seconds=min(self._max_age, _AGAIN_TIMES * await self._took(pages())))
        return sum([await self._sum(folders, asked) async for folders in pages()])

    async def _took(self, pages: AsyncIterator[list[VFolderId]]) -> float:
        """How long counting took, all of it."""
        took = 0.0
        async for folders in pages:
            took += sum(known.took for known in await self._records(folders) if known is not None)
        return took

    async def _sum(self, folders: list[VFolderId], asked: _Asked) -> int:
        found = await self._records(folders)
        return sum(
            [
                known.file_bytes if self._serves(known, asked) else await self._bytes(folder, asked)
                for folder, known in zip(folders, found, strict=True)
            ]
        )

    async def _bytes(self, folder: VFolderId, asked: _Asked) -> int:
        """Bytes of files of a folder, counted once for all who ask meanwhile."""
        turn = self._turns.setdefault(folder, _Turn())
        async with turn.lock:
            (known,) = await self._records([folder])
            if known is not None and (turn.began >= asked.at or self._serves(known, asked)):
                return known.file_bytes
            began = time.monotonic()
            try:
                found = (await self.measure(folder)).file_bytes
            except NotFoundError:
                found = 0  # deleted meanwhile; its records go with the event that says so
            turn.began = began
            return found

    def _serves(self, known: UsageRecord | None, asked: _Asked) -> TypeGuard[UsageRecord]:
        return known is not None and known.serves(asked.need, self._clock.now(), asked.max_age_seconds)

    async def _records(self, folders: Sequence[VFolderId]) -> list[UsageRecord | None]:
        records = await self._catalogue.fields([usage_record(folder, self._volume) for folder in folders])
        return [UsageRecord.parse(fields) if fields else None for fields in records]

    async def measure(self, folder: VFolderId) -> UsageRecord:
        """Count a folder, and have the catalogue know; returns what it is known to hold now.

        Raises:
            NotFoundError: it is not there.
        """
        name = usage_record(folder, self._volume)
        for _ in range(_TRIES):
            await self._settle()
            found = await counted(self._catalogue, name, partial(self._count, folder), self._settle)
            counted_now = self._recount(name, found)
            await self._catalogue.apply([counted_now])
            now, known = await self._told(name)
            if known is not None and (now.made, now.changes) == (found.since.made, found.since.changes):
                return known
        # It does not stand still for as long as counting takes. What was moved may have been missed each time, so
        # that it is not taken for less than before, either.
        size, more = found.usage.file_bytes, now.added_bytes - found.since.added_bytes
        size = max(size, known.file_bytes - more) if known is not None else size
        fields = {**counted_now.fields, "file_bytes": size}
        best = replace(counted_now, fields=fields, since=replace(found.since, changes=now.changes))
        await self._catalogue.apply([best, Bump(name, {"stale": 1})])
        return UsageRecord(size + more, found.usage.files, self._clock.now(), found.took, again=0.0)

    def _recount(self, name: str, found: Counted) -> Recount:
        now = self._clock.now()
        again = now + _AGAIN_TIMES * found.took
        return Recount(name, {**measured_usage(found.usage, now), "took": found.took}, found.since, again)

    async def _told(self, name: str) -> tuple[UsageMarks, UsageRecord | None]:
        (fields,) = await self._catalogue.fields([name])
        return UsageMarks.parse(fields or {}), UsageRecord.parse(fields or {})


@dataclass(frozen=True, slots=True)
class Counted:
    """What a folder held, and how it had changed before it was counted."""

    usage: Usage
    since: UsageMarks
    #: How long counting took, in seconds.
    took: float


async def counted(
    catalogue: Catalogue, record: str, count: Callable[[], Awaitable[Usage]], settle: Settle
) -> Counted:
    """Count a folder. From then on there is a usage record, which goes on telling how it changes.

    Raises:
        NotFoundError: it is not there, and has no record any more.
    """
    since = await usage_marks(catalogue, record)
    began = time.monotonic()
    try:
        usage = await count()
    except NotFoundError:
        await catalogue.apply([Remove(record)])
        raise
    took = time.monotonic() - began
    # What the count may have met has to be told before it, or it would be counted in once more.
    await settle()
    return Counted(usage, since, took)


async def usage_marks(catalogue: Catalogue, record: str) -> UsageMarks:
    """How a folder has changed until now; if it was never counted, its changes are told from now on."""
    await catalogue.apply([Default(record, {"changes": 0, "made": uuid4().hex})])
    (fields,) = await catalogue.fields([record])
    return UsageMarks.parse(fields or {})
