"""Whether an upload still fits the limits of its folder and of its owner.

What counts is what is in the folder, or in all of the scope's, plus what every unfinished upload has reserved: an
upload reserves, with its record, before it is judged, so two that come together cannot both take the last room. One
whose length is not told yet reserves as it grows (`gateway.uploads.growing`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Final

from backends.contract import Volume
from backends.counting import counter
from bus.accounts import Account
from bus.contract import Bus
from bus.relay import Relays
from bus.usage import ScopeUsage
from domain.catalogue import Need
from domain.errors import TooManyError
from domain.ids import QuotaScopeId, VFolderId, VolumeName
from domain.usage import Quota
from gateway.limits import Limits
from gateway.settings import GatewaySettings
from gateway.uploads.abandoned import Abandoned
from gateway.uploads.reserved import accounts, owner_index
from gateway.uploads.session import UploadSession
from gateway.uploads.sessions import Sessions

#: When somebody with too many uploads may try again, in seconds.
_RETRY_SECONDS: Final = 5.0


class Quotas:
    """Limits, as uploads meet them."""

    def __init__(
        self,
        bus: Bus,
        volumes: Mapping[VolumeName, Volume],
        relays: Relays,
        abandoned: Abandoned,
        max_age_seconds: float,
    ) -> None:
        self._bus = bus
        self._relays = relays
        self._abandoned = abandoned
        self._usages = {
            name: ScopeUsage(
                bus.catalogue, bus.clock, name, counter(volume), max_age_seconds, partial(relays.settle, name)
            )
            for name, volume in volumes.items()
        }
        self.limits = Limits(bus, volumes)

    async def quota(self, volume: VolumeName, owner: QuotaScopeId | VFolderId) -> Quota:
        """Limits of a scope or a folder and, if it has any, what it uses. Raises NotFoundError."""
        account = Account(volume, owner)
        known = (await self.limits.standing(account)).quota
        if known == Quota() or known.used_bytes is not None:
            return known
        return replace(known, used_bytes=await account.used_bytes(self._usages[volume]))

    async def is_limited(self, session: UploadSession) -> bool:
        """Whether an upload counts against any limit. Raises NotFoundError if its scope is not there."""
        return bool(await self._limited(session))

    async def judge(self, session: UploadSession, more: int = 0) -> None:
        """See that an upload that is counted in fits.

        Args:
            more: bytes that come in besides what it has reserved.

        Raises:
            QuotaExceededError: it does not.
        """
        for account, limit in await self._limited(session):
            taken = await self._taken(account, Need.BOUND) + more
            if taken > limit:
                await self._abandoned.give_back(account.reserved_index)
                taken = await self._taken(account, Need.CERTAIN) + more
            if taken > limit:
                raise account.exceeded(limit, taken)

    async def admit(self, session: UploadSession, most: int) -> None:
        """See that the owner of a new upload may begin one more.

        Raises:
            TooManyError: the owner has `most` unfinished ones already.
        """
        index = owner_index(session.owner)
        if await self._bus.catalogue.count(index) < most:
            return
        await self._relays.settle(session.volume)  # some may be finished, and not taken over yet
        count = await self._bus.catalogue.count(index)
        if count >= most and await self._abandoned.give_back(index):
            count = await self._bus.catalogue.count(index)
        if count >= most:
            raise TooManyError(f"{most} uploads are unfinished already", retry_after_seconds=_RETRY_SECONDS)

    async def room(self, session: UploadSession, wanted: int) -> int | None:
        """Bytes that may come in besides all that is used and reserved, also by itself; None: no limit.

        Args:
            wanted: if there is room for so many, it may be told to be less than it is.
        """
        rooms = [await self._room(account, limit, wanted) for account, limit in await self._limited(session)]
        return min(rooms, default=None)

    async def _room(self, account: Account, limit: int, wanted: int) -> int:
        room = limit - await self._taken(account, Need.BOUND)
        if room < wanted:
            room = max(limit - await self._taken(account, Need.CURRENT), 0)
        if not room:
            await self._abandoned.give_back(account.reserved_index)
            room = max(limit - await self._taken(account, Need.CERTAIN), 0)
        return room

    async def confirm(self, session: UploadSession) -> None:
        """Judge an upload that has reserved less than it has become, or whose length was told later.

        Raises:
            QuotaExceededError: it does not fit.
        """
        more = max((session.length or 0) - session.reserved_bytes, 0)
        if session.length_told or (more and not session.is_final):
            await self.judge(session, more)

    async def _limited(self, session: UploadSession) -> list[tuple[Account, int]]:
        """What an upload counts against and has a limit, with that."""
        found = [(account, (await self.limits.standing(account)).limit_bytes) for account in accounts(session)]
        return [(account, limit) for account, limit in found if limit is not None]

    async def _taken(self, account: Account, need: Need) -> int:
        """What an account uses, with everything reserved."""
        # What was told of and is not counted yet counts, too.
        await self._relays.settle(account.volume)
        return await account.taken_bytes(self._usages[account.volume], self._bus.catalogue, need)


def build_quotas(
    bus: Bus, volumes: Mapping[VolumeName, Volume], relays: Relays, settings: GatewaySettings
) -> Quotas:
    """Limits, as uploads meet them, for a process with these settings."""
    sessions = Sessions(bus, relays, settings.upload_seconds, settings.finished_seconds)
    abandoned = Abandoned(sessions, bus.catalogue, volumes)
    return Quotas(bus, volumes, relays, abandoned, settings.usage_max_age_seconds)
