"""Folders that come to a scope at once, with all they hold: from the trash, or from another owner.

They count from before they are judged until the catalogue knows what became of them, whoever dies meanwhile; so
what comes beside them is judged with them. The event that ends their command has them count no more.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final
from weakref import WeakValueDictionary

import anyio

from bus.accounts import Account
from bus.contract import Catalogue
from bus.room import take_room
from bus.usage import ScopeUsage
from domain.arrivals import arrival_record, arrived, arriving
from domain.ids import VFolderId

#: How long is waited at most where others took the room at the same moment, in seconds.
_PAUSE_SECONDS: Final = 0.1


@dataclass(frozen=True, slots=True)
class Arrival:
    """Something that comes to a scope that has a limit."""

    account: Account
    limit_bytes: int
    folder: VFolderId
    #: What it brings.
    size_bytes: int
    #: What has to be left of the limit, whatever it brings.
    least_bytes: int = 0

    @property
    def wanted_bytes(self) -> int:
        """What has to be left."""
        return max(self.size_bytes, self.least_bytes)


@dataclass(frozen=True, slots=True)
class Arrivals:
    """Judges what comes, for the owner of a volume."""

    usage: ScopeUsage
    catalogue: Catalogue
    _turns: WeakValueDictionary[Account, anyio.Lock] = field(default_factory=WeakValueDictionary)

    async def admit(self, arrival: Arrival) -> None:
        """Have it count from now on, if it fits. Raises QuotaExceededError."""
        if not arrival.size_bytes:
            await self._judge(arrival, arrival.wanted_bytes)
            return
        turn = self._turns.setdefault(arrival.account, anyio.Lock())
        async with turn:  # two of one volume are not refused because of each other
            # What does not fit by itself disturbs nobody.
            await self._judge(arrival, 0 if await self._counts(arrival) else arrival.wanted_bytes)
            await take_room(lambda: self._take(arrival), lambda: self._give_back(arrival), _PAUSE_SECONDS)

    async def _counts(self, arrival: Arrival) -> bool:
        """Whether it counts already: who began with it has died."""
        (known,) = await self.catalogue.fields([arrival_record(arrival.folder, arrival.account.volume)])
        return known is not None

    async def _take(self, arrival: Arrival) -> None:
        await self.catalogue.apply(arriving(arrival.folder, arrival.account.volume, arrival.size_bytes))
        await self._judge(arrival, 0)

    async def _give_back(self, arrival: Arrival) -> None:
        await self.catalogue.apply(arrived(arrival.folder, arrival.account.volume))

    async def _judge(self, arrival: Arrival, more: int) -> None:
        """See that so many more bytes fit. Raises QuotaExceededError."""
        most = arrival.limit_bytes - more
        taken = await arrival.account.taken_beside(self.usage, self.catalogue, most)
        if taken > most:
            raise arrival.account.exceeded(arrival.limit_bytes, taken + more)
