"""Whether an upload still fits its owner's limit.

What counts is what the scope's folders hold plus what every unfinished upload has reserved: an upload is reserved
before it is judged, so two that come together cannot both take the last room. One whose length is not told yet has
reserved nothing; its room is looked at with every request, and once more when it is finished.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Final

from backends.contract import Volume
from bus.contract import Bus
from bus.usage import ScopeUsage
from domain.catalogue import Change, Index, Unindex
from domain.errors import QuotaExceededError, Subject, TooManyError
from domain.ids import QuotaScopeId, VolumeName
from domain.usage import Quota
from gateway.limits import Limits
from gateway.uploads.session import UploadSession

_PAGE: Final = 500
#: When somebody with too many uploads may try again, in seconds.
_RETRY_SECONDS: Final = 5.0


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
        """Count an upload in, with its `reserved_bytes`.

        Raises:
            QuotaExceededError: it does not fit; nothing is reserved.
            NotFoundError: the scope is not there.
        """
        limit = await self._limit(session)
        if limit is None or session.folder.scope is None:
            return
        index = _index(session.volume, session.folder.scope)
        await self._bus.catalogue.apply([Index(index, _member(session))])
        taken = await self._taken(session)
        if taken > limit:
            await self.release(session)
            raise _exceeded(session, limit, taken)

    async def release(self, session: UploadSession) -> None:
        """Count an upload out: it is finished or dropped. Repeat-safe."""
        changes: list[Change] = []
        if session.folder.scope is not None:
            changes.append(Unindex(_index(session.volume, session.folder.scope), _member(session)))
        if session.owner:
            changes.append(Unindex(_owner_index(session.owner), session.id))
        if changes:
            await self._bus.catalogue.apply(changes)

    async def admit(self, session: UploadSession, most: int) -> None:
        """Count an upload among those of the token's owner.

        Raises:
            TooManyError: the owner has `most` unfinished ones already.
        """
        index = _owner_index(session.owner)
        if len(await self._bus.catalogue.page(index, limit=most)) >= most:
            raise TooManyError(f"{most} uploads are unfinished already", retry_after_seconds=_RETRY_SECONDS)
        await self._bus.catalogue.apply([Index(index, session.id)])

    async def room(self, session: UploadSession) -> int | None:
        """Bytes the whole of an upload without a reservation may have now; None: no limit."""
        limit = await self._limit(session)
        return None if limit is None else max(limit - await self._taken(session), 0)

    async def confirm(self, session: UploadSession) -> None:
        """Judge an upload that has reserved less than it has become.

        Raises:
            QuotaExceededError: it does not fit.
        """
        length = session.length or 0
        if length <= session.reserved_bytes or session.is_final:
            return
        limit = await self._limit(session)
        if limit is None:
            return
        taken = await self._taken(session) - session.reserved_bytes + length
        if taken > limit:
            raise _exceeded(session, limit, taken)

    async def confirm_more(self, session: UploadSession, more: int) -> None:
        """Judge bytes that come in besides an upload's own.

        Raises:
            QuotaExceededError: they do not fit.
        """
        limit = await self._limit(session)
        if limit is None:
            return
        taken = await self._taken(session) + more
        if taken > limit:
            raise _exceeded(session, limit, taken)

    async def _limit(self, session: UploadSession) -> int | None:
        scope = session.folder.scope
        return None if scope is None else (await self.limits.quota(session.volume, scope)).limit_bytes

    async def _taken(self, session: UploadSession) -> int:
        """What the scope of an upload uses, with everything reserved."""
        scope = session.folder.scope
        if scope is None:
            return 0
        return await self._used(session.volume, scope) + await self._reserved(session.volume, scope)

    async def _used(self, volume: VolumeName, scope: QuotaScopeId) -> int:
        count = partial(self._volumes[volume].usage, staging=False)
        usage = ScopeUsage(self._bus.catalogue, self._bus.clock, volume, count, self._max_age)
        return await usage.used_bytes(scope)

    async def _reserved(self, volume: VolumeName, scope: QuotaScopeId) -> int:
        """Sum of what unfinished uploads have reserved."""
        index, after, total = _index(volume, scope), "", 0
        while members := await self._bus.catalogue.page(index, after=after, limit=_PAGE):
            after = members[-1]
            total += sum(int(member.partition(":")[2]) for member in members)
        return total


def _exceeded(session: UploadSession, limit: int, taken: int) -> QuotaExceededError:
    return QuotaExceededError(
        f"{session.folder.scope} would use {taken} of {limit} bytes",
        subject=Subject.QUOTA_SCOPE,
        wanted_bytes=taken,
        limit_bytes=limit,
    )


def _owner_index(owner: str) -> str:
    return f"index:uploads-of:{owner}"


def _index(volume: VolumeName, scope: QuotaScopeId) -> str:
    return f"index:uploads:{volume}:{scope}"


def _member(session: UploadSession) -> str:
    return f"{session.id}:{session.reserved_bytes}"
