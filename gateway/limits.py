"""Limits of scopes and folders, remembered so that not every upload has to ask the storage.

An entry is dropped when an event says that the limit changed, whoever changed it; should such an event be late
or lost with a connection, it is dropped by age.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from backends.contract import Volume
from backends.powers import LimitsFolders
from bus.accounts import Account
from bus.contract import Bus, Gap
from domain.envelope import Envelope
from domain.errors import MalformedEventError, UnsupportedError
from domain.events import (
    QuotaAlert,
    QuotaScopeCreated,
    QuotaScopeDeleted,
    QuotaUpdated,
    VFolderQuotaUpdated,
)
from domain.ids import QuotaScopeId, VolumeName
from domain.registry import open_event
from domain.usage import Quota

#: Entries kept at most.
_ENTRIES: Final = 10_000
#: Events that tell of a limit.
_TYPES: Final = frozenset(
    kind.type for kind in (QuotaScopeCreated, QuotaScopeDeleted, QuotaUpdated, VFolderQuotaUpdated, QuotaAlert)
)
#: Age at which an entry is dropped, in seconds.
_AGE_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class Standing:
    """How an account stands."""

    quota: Quota
    #: The limit that holds now; None: none.
    limit_bytes: int | None
    #: When that was looked up.
    time: float


class Limits:
    """Quotas by account."""

    def __init__(self, bus: Bus, volumes: Mapping[VolumeName, Volume]) -> None:
        self._bus = bus
        self._volumes = volumes
        self._known: OrderedDict[Account, Standing] = OrderedDict()

    async def standing(self, account: Account) -> Standing:
        """How an account stands. Raises NotFoundError for a scope that is not there."""
        now = self._bus.clock.now()
        known = self._known.get(account)
        if known is not None and now - known.time < _AGE_SECONDS:
            return known
        quota = await self._quota(account)
        found = Standing(quota, await account.limit_bytes(self._bus.catalogue, quota), now)
        self._known[account] = found
        self._known.move_to_end(account)
        if len(self._known) > _ENTRIES:
            self._known.popitem(last=False)
        return found

    async def _quota(self, account: Account) -> Quota:
        volume = self._volumes[account.volume]
        if isinstance(account.owner, QuotaScopeId):
            return await volume.quota(account.owner)
        return await volume.folder_quota(account.owner) if isinstance(volume, LimitsFolders) else Quota()

    async def follow(self) -> None:
        """Listen to events for ever."""
        async with self._bus.events.watch(types=_TYPES) as subscription:
            async for event in subscription:
                if isinstance(event, Gap):
                    self._known.clear()
                else:
                    self._heard(event.envelope)

    def _heard(self, envelope: Envelope) -> None:
        try:
            event = open_event(envelope)
        except (UnsupportedError, MalformedEventError):
            return
        if isinstance(event, QuotaScopeCreated | QuotaScopeDeleted | QuotaUpdated):
            self._known.pop(Account(event.volume, event.scope), None)
        if isinstance(event, VFolderQuotaUpdated):
            self._known.pop(Account(event.volume, event.folder), None)
        if isinstance(event, QuotaAlert) and (owner := event.scope or event.folder) is not None:
            self._known.pop(Account(event.volume, owner), None)
