"""What a quota scope uses: summed over the catalogue, counted afresh where the catalogue does not know."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from bus.contract import Catalogue, Clock
from domain.catalogue import UsageRecord, measured_usage, owner_index, parse_folder_member, usage_record
from domain.errors import NotFoundError
from domain.ids import QuotaScopeId, VFolderId, VolumeName
from domain.usage import Usage

_PAGE: Final = 500

#: Counts a folder on its volume, unfinished uploads left out.
CountFolder = Callable[[VFolderId], Awaitable[Usage]]


class ScopeUsage:
    """Usage of the scopes of one volume."""

    def __init__(
        self, catalogue: Catalogue, clock: Clock, volume: VolumeName, count: CountFolder, max_age_seconds: float
    ) -> None:
        self._catalogue = catalogue
        self._clock = clock
        self._volume = volume
        self._count = count
        self._max_age = max_age_seconds

    async def used_bytes(self, scope: QuotaScopeId) -> int:
        """Bytes of files in all folders of a scope on this volume, counted at most so long ago."""
        total = 0
        after = ""
        while members := await self._catalogue.page(owner_index(scope), after=after, limit=_PAGE):
            after = members[-1]
            found = [parse_folder_member(member) for member in members]
            total += await self._sum([folder for folder, volume in found if volume == self._volume])
        return total

    async def folder_bytes(self, folder: VFolderId) -> int:
        """Bytes of files in one folder."""
        return await self._sum([folder])

    async def _sum(self, folders: list[VFolderId]) -> int:
        records = await self._catalogue.fields([usage_record(folder, self._volume) for folder in folders])
        total = 0
        for folder, fields in zip(folders, records, strict=True):
            known = UsageRecord.parse(fields) if fields else None
            if known is None or known.measured < self._clock.now() - self._max_age:
                total += await self._measure(folder)
            else:
                total += known.file_bytes
        return total

    async def _measure(self, folder: VFolderId) -> int:
        try:
            usage = await self._count(folder)
        except NotFoundError:
            return 0  # deleted meanwhile; its records go with the event that says so
        now = self._clock.now()
        await self._catalogue.apply([measured_usage(folder, self._volume, usage, now)])
        return usage.file_bytes
