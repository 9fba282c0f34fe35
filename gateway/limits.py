"""Limits of quota scopes, remembered so that not every upload has to ask the storage.

An entry is dropped when an event says that the limit changed, whoever changed it; should such an event be late
or lost with a connection, it is dropped by age.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Final

from backends.contract import Volume
from bus.contract import Bus, Gap
from domain.envelope import Envelope
from domain.errors import MalformedEventError, UnsupportedError
from domain.events import QuotaScopeCreated, QuotaScopeDeleted, QuotaUpdated
from domain.ids import QuotaScopeId, VolumeName
from domain.registry import open_event
from domain.usage import Quota

#: Entries kept at most.
_ENTRIES: Final = 10_000
#: Age at which an entry is dropped, in seconds.
_AGE_SECONDS: Final = 30.0


class Limits:
    """Quotas by volume and scope."""

    def __init__(self, bus: Bus, volumes: Mapping[VolumeName, Volume]) -> None:
        self._bus = bus
        self._volumes = volumes
        self._known: OrderedDict[tuple[VolumeName, QuotaScopeId], tuple[Quota, float]] = OrderedDict()

    async def quota(self, volume: VolumeName, scope: QuotaScopeId) -> Quota:
        """Limit of a scope. Raises NotFoundError."""
        key = (volume, scope)
        now = self._bus.clock.now()
        known = self._known.get(key)
        if known is not None and now - known[1] < _AGE_SECONDS:
            return known[0]
        quota = await self._volumes[volume].quota(scope)
        self._known[key] = (quota, now)
        self._known.move_to_end(key)
        if len(self._known) > _ENTRIES:
            self._known.popitem(last=False)
        return quota

    async def follow(self) -> None:
        """Listen to events for ever."""
        async with self._bus.events.watch() as subscription:
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
            self._known.pop((event.volume, event.scope), None)
