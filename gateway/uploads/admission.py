"""How many unfinished uploads one owner may have."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

from bus.contract import Leases
from domain.errors import ConflictError, PenstockError, TooManyError
from gateway.quotas import Quotas
from gateway.uploads.session import UploadSession
from gateway.uploads.sessions import Known, Sessions

#: How near the limit an owner's uploads are begun one after the other.
_NEAR: Final = 100
#: How long one waits for those before it, in seconds.
_PATIENCE_SECONDS: Final = 10.0
#: When somebody may come again for whom that was too long, in seconds.
_RETRY_SECONDS: Final = 1.0


class Admission:
    """Holds each owner to so many unfinished uploads, however many are begun at once.

    An upload is counted in the step that records it, and looked at afterwards: so there are never more than may be.
    Far from the limit that is all. Near it those of one owner take turns, so that of many that come together as
    many get in as there is room for, and not none because each has seen all the others.
    """

    def __init__(self, leases: Leases, sessions: Sessions, quotas: Quotas, most: int) -> None:
        self._leases = leases
        self._sessions = sessions
        self._quotas = quotas
        self._most = most

    async def record(self, session: UploadSession, record: Callable[[], Awaitable[Known]]) -> Known:
        """Have an upload recorded, which counts it among its owner's.

        Raises:
            TooManyError: its owner has as many as may be.
        """
        if await self._is_far(session):
            with suppress(TooManyError):
                return await self._judged(session, record)
        try:
            async with self._leases.hold(f"uploads-of:{session.owner}", wait_seconds=_PATIENCE_SECONDS):
                return await self._in_turn(session, record)
        except ConflictError as error:
            raise TooManyError("too many uploads are begun at once", retry_after_seconds=_RETRY_SECONDS) from error

    async def _in_turn(self, session: UploadSession, record: Callable[[], Awaitable[Known]]) -> Known:
        await self._quotas.admit(session, self._most)
        return await self._judged(session, record)

    async def _judged(self, session: UploadSession, record: Callable[[], Awaitable[Known]]) -> Known:
        """Have an upload recorded that stays only if there are no more then than may be."""
        known = await record()
        try:
            await self._quotas.admit(session, self._most + 1)
        except PenstockError:
            # One that was far from the limit when it looked has come in between; or that cannot be known now.
            await self._sessions.forget(session)
            raise
        return known

    async def _is_far(self, session: UploadSession) -> bool:
        """Whether an upload's owner would not have more than may be with many more."""
        try:
            await self._quotas.admit(session, self._most + 1 - _NEAR)
        except TooManyError:
            return False
        return True
