"""Limits of scopes and folders, remembered so that not every upload has to ask the storage.

An entry is dropped when this gateway has had the limit changed, and when an event says that somebody has; should
such an event be late or lost with a connection, it is dropped by age.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
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
from domain.recent import Recent
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
        self._known = Recent[Account, Standing](_ENTRIES)
        #: Grows with everything that was heard: what was looked up before may be past.
        self._heard_of = 0

    async def standing(self, account: Account) -> Standing:
        """How an account stands. Raises NotFoundError for a scope that is not there."""
        now = self._bus.clock.now()
        known = self._known.get(account)
        if known is not None and now - known.time < _AGE_SECONDS:
            return known
        heard_of = self._heard_of
        quota = await self._quota(account)
        found = Standing(quota, await account.limit_bytes(self._bus.catalogue, quota), now)
        if heard_of == self._heard_of:
            self._known[account] = found
        return found

    @contextmanager
    def changing(self, account: Account) -> Iterator[None]:
        """Whoever looks after this sees what was changed meanwhile."""
        try:
            yield
        finally:
            self._drop(account)

    def _drop(self, account: Account) -> None:
        self._heard_of += 1
        self._known.pop(account, None)

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
                    self._heard_of += 1
                    self._known.clear()
                else:
                    self._heard(event.envelope)

    def _heard(self, envelope: Envelope) -> None:
        try:
            event = open_event(envelope)
        except (UnsupportedError, MalformedEventError):
            return
        if isinstance(event, QuotaScopeCreated | QuotaScopeDeleted | QuotaUpdated):
            self._drop(Account(event.volume, event.scope))
        if isinstance(event, VFolderQuotaUpdated):
            self._drop(Account(event.volume, event.folder))
        if isinstance(event, QuotaAlert) and (owner := event.scope or event.folder) is not None:
            self._drop(Account(event.volume, owner))
