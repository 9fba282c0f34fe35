"""Room for what archives become.

It is counted with the upload's record, in one step, before it is judged whether it fits: of two that come together
not both can take the last room. The step that finishes the upload, or drops it, gives back what it has reserved.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Final

import anyio
from loguru import logger

from bus.room import take_room
from domain.errors import PenstockError, QuotaExceededError, Retry
from gateway.quotas import Quotas
from gateway.uploads.reserved import freed, reserving
from gateway.uploads.session import UploadSession, UploadState
from gateway.uploads.sessions import Known, Sessions

#: How long is waited at most where others took the room at the same moment, in seconds.
_PAUSE_SECONDS: Final = 0.05
#: How long giving back may take when what it was for was cancelled, in seconds.
_UNDO_SECONDS: Final = 10.0


class Expansion:
    """Reserves room for archives, besides what their own bytes have reserved."""

    def __init__(self, sessions: Sessions, quotas: Quotas) -> None:
        self._sessions = sessions
        self._quotas = quotas

    @asynccontextmanager
    async def reserved(
        self, session: UploadSession, total: int, has_begun: Callable[[], bool]
    ) -> AsyncIterator[None]:
        """Have an archive's bytes counted that it unpacks to.

        If the block fails with a refusal, or before anything was unpacked, they are given back, unless another
        attempt relies on them by now. Else they stay admitted, as when the process dies, and are not judged anew
        when it goes on: what is at its place already counts as well.

        Args:
            has_begun: whether anything was unpacked.

        Raises:
            QuotaExceededError: they do not fit; nothing is counted.
            NotFoundError (subject upload), GoneError: there is no such upload any more.
        """
        attempt = secrets.token_hex(8)
        is_ours = await self._quotas.is_limited(session) and await self._take(session, total, attempt)
        try:
            yield
        except BaseException as error:
            is_refused = isinstance(error, PenstockError) and error.retry is Retry.NEVER
            if is_refused or (is_ours and not has_begun()):
                await self._give_back(session, attempt)
            raise

    async def _take(self, session: UploadSession, total: int, attempt: str) -> bool:
        """Count so many bytes and see that they fit; False if another attempt had them admitted."""

        async def take() -> bool:
            return await self._admit(session, total, attempt)

        try:
            return await take_room(take, lambda: self._give_back(session), _PAUSE_SECONDS)
        except QuotaExceededError:
            await self._give_back(session)
            raise

    async def _admit(self, session: UploadSession, total: int, attempt: str) -> bool:
        """One try to. Raises QuotaExceededError; then they may be counted."""
        while (counted := await self._count(session.id, total, attempt)) is not None:
            await self._quotas.judge(session)
            if await self._rely(counted, attempt):
                return True
        return False

    async def _count(self, session_id: str, total: int, attempt: str) -> Known | None:
        """Have so many bytes counted besides an upload's own; None: they are admitted, or it is being finished."""
        while True:
            known = await self._sessions.require(session_id)
            before = known.session
            if before.state is not UploadState.OPEN:
                return None
            if before.unpacked_bytes != total:
                counted = await self._recount(known, total)
                if counted is not None:
                    return counted
            elif not before.admitted:
                return known
            elif await self._rely(known, attempt):
                return None

    async def _rely(self, known: Known, attempt: str) -> bool:
        """Have what is counted admitted, for this attempt from now on; False if somebody else was faster."""
        return await self._sessions.replace(known, replace(known.session, admitted=attempt)) is not None

    async def _recount(self, known: Known, total: int) -> Known | None:
        """Have other bytes counted besides an upload's own; None if somebody else was faster."""
        before = known.session
        reserved = before.reserved_bytes - before.unpacked_bytes + total
        after = replace(before, reserved_bytes=reserved, unpacked_bytes=total, admitted="")
        besides = [*freed(before), *reserving(after)]
        return await self._sessions.replace(known, after, changes=besides)

    async def _give_back(self, session: UploadSession, attempt: str = "") -> None:
        """Count nothing besides an upload's own bytes, but for what another attempt had admitted."""
        with anyio.move_on_after(_UNDO_SECONDS, shield=True):
            try:
                await self._count_nothing(session.id, attempt)
            except PenstockError as error:
                logger.warning("room of upload {}, given back when it ends: {}", session.id, error)

    async def _count_nothing(self, session_id: str, attempt: str) -> None:
        while True:
            known = await self._sessions.require(session_id)
            now = known.session
            if now.state is not UploadState.OPEN or not now.unpacked_bytes or now.admitted not in ("", attempt):
                return
            if await self._recount(known, 0) is not None:
                return
