"""Whether an upload still fits its owner's limit.

What counts is what the scope's folders hold plus the announced length of every unfinished upload: an upload is
reserved before it is judged, so two that come together cannot both take the last room.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Final

from backends.contract import Volume
from bus.contract import Bus
from bus.usage import ScopeUsage
from domain.catalogue import Index, Unindex
from domain.errors import QuotaExceededError, Subject
from domain.ids import QuotaScopeId, VolumeName
from domain.usage import Quota
from gateway.limits import Limits
from gateway.uploads.session import UploadSession

_PAGE: Final = 500


class Quotas:
    """Limits of quota scopes, as uploads meet them."""

    def __init__(self, bus: Bus, volumes: Mapping[VolumeName, Volume], max_age_seconds: float) -> None:
        self._bus = bus
        self._volumes = volumes
        self._max_age = max_age_seconds
        self.limits = Limits(bus, volumes)

    async def quota(self, volume: VolumeName, scope: QuotaScopeId) -> Quota:
        """Limit of a scope and, if it has one, what it uses. Raises NotFoundError."""
        known = await self.limits.quota(volume, scope)
        if known.limit_bytes is None or known.used_bytes is not None:
            return known
        return Quota(known.limit_bytes, await self._used(volume, scope))

    async def reserve(self, session: UploadSession) -> None:
        """Count an upload in.

        Raises:
            QuotaExceededError: it does not fit; nothing is reserved.
            NotFoundError: the scope is not there.
        """
        scope = session.folder.scope
        if scope is None:
            return
        known = await self.limits.quota(session.volume, scope)
        if known.limit_bytes is None:
            return
        await self._bus.catalogue.apply([Index(_index(session.volume, scope), _member(session))])
        used = await self._used(session.volume, scope)
        reserved = await self._reserved(session.volume, scope)
        if used + reserved > known.limit_bytes:
            await self.release(session)
            raise QuotaExceededError(
                f"{scope} uses {used} of {known.limit_bytes} bytes, {reserved} more are being uploaded",
                subject=Subject.QUOTA_SCOPE,
                used_bytes=used,
                reserved_bytes=reserved,
                limit_bytes=known.limit_bytes,
            )

    async def release(self, session: UploadSession) -> None:
        """Count an upload out: it is finished or dropped. Repeat-safe."""
        if session.folder.scope is not None:
            index = _index(session.volume, session.folder.scope)
            await self._bus.catalogue.apply([Unindex(index, _member(session))])

    async def _used(self, volume: VolumeName, scope: QuotaScopeId) -> int:
        count = partial(self._volumes[volume].usage, staging=False)
        usage = ScopeUsage(self._bus.catalogue, self._bus.clock, volume, count, self._max_age)
        return await usage.used_bytes(scope)

    async def _reserved(self, volume: VolumeName, scope: QuotaScopeId) -> int:
        """Sum of the lengths of unfinished uploads."""
        index, after, total = _index(volume, scope), "", 0
        while members := await self._bus.catalogue.page(index, after=after, limit=_PAGE):
            after = members[-1]
            total += sum(int(member.partition(":")[2]) for member in members)
        return total


def _index(volume: VolumeName, scope: QuotaScopeId) -> str:
    return f"index:uploads:{volume}:{scope}"


def _member(session: UploadSession) -> str:
    return f"{session.id}:{session.length}"
