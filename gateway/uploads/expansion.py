"""Room for what archives become.

It is counted with the upload's record, in one step, before it is judged whether it fits: of two that come together
not both can take the last room. The step that finishes the upload, or drops it, gives back what it has reserved.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Final

import anyio
from loguru import logger

from domain.errors import PenstockError, QuotaExceededError, Retry
from gateway.quotas import Quotas
from gateway.uploads.reserved import freed, reserving
from gateway.uploads.session import UploadSession, UploadState
from gateway.uploads.sessions import Known, Sessions

#: How often it is tried again where others took the room at the same moment, and how long is waited, in seconds.
_TRIES: Final = 4
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

        If the block fails with a refusal, or before anything was unpacked, they are given back. Else they stay
        admitted, as when the process dies, and are not judged anew when it goes on: what is at its place already
        counts as well.

        Args:
            has_begun: whether anything was unpacked.

        Raises:
            QuotaExceededError: they do not fit; nothing is counted.
            NotFoundError (subject upload), GoneError: there is no such upload any more.
        """
        is_ours = await self._quotas.is_limited(session) and await self._take(session, total)
        try:
            yield
        except BaseException as error:
            is_refused = isinstance(error, PenstockError) and error.retry is Retry.NEVER
            if is_refused or (is_ours and not has_begun()):
                await self._give_back(session)
            raise

    async def _take(self, session: UploadSession, total: int) -> bool:
        """Count so many bytes and see that they fit; False if somebody else has admitted them."""
        left = _TRIES
        while True:
            try:
                return await self._admit(session, total)
            except QuotaExceededError:
                await self._give_back(session, admitted=False)
                left -= 1
                if not left:
                    raise
            await anyio.sleep(random.uniform(0, _PAUSE_SECONDS))  # noqa: S311  only to be out of step

    async def _admit(self, session: UploadSession, total: int) -> bool:
        """One try to. Raises QuotaExceededError; then they may be counted."""
        while (counted := await self._count(session.id, total)) is not None:
            await self._quotas.judge(session)
            if await self._sessions.replace(counted, replace(counted.session, admitted=True)) is not None:
                return True
        return False

    async def _count(self, session_id: str, total: int) -> Known | None:
        """Have so many bytes counted besides an upload's own; None: they are admitted, or it is being finished."""
        while True:
            known = await self._sessions.require(session_id)
            before = known.session
            is_counted = before.unpacked_bytes == total
            if before.state is not UploadState.OPEN or (is_counted and before.admitted):
                return None
            if is_counted:
                return known
            counted = await self._recount(known, total)
            if counted is not None:
                return counted

    async def _recount(self, known: Known, total: int) -> Known | None:
        """Have other bytes counted besides an upload's own; None if somebody else was faster."""
        before = known.session
        reserved = before.reserved_bytes - before.unpacked_bytes + total
        after = replace(before, reserved_bytes=reserved, unpacked_bytes=total, admitted=False)
        besides = [*freed(before), *reserving(after)]
        return await self._sessions.replace(known, after, changes=besides)

    async def _give_back(self, session: UploadSession, *, admitted: bool = True) -> None:
        """Count nothing besides an upload's own bytes.

        Args:
            admitted: also what somebody has admitted.
        """
        with anyio.move_on_after(_UNDO_SECONDS, shield=True):
            try:
                await self._count_nothing(session.id, admitted=admitted)
            except PenstockError as error:
                logger.warning("room of upload {}, given back when it ends: {}", session.id, error)

    async def _count_nothing(self, session_id: str, *, admitted: bool) -> None:
        while True:
            known = await self._sessions.require(session_id)
            now = known.session
            if now.state is not UploadState.OPEN or not now.unpacked_bytes or (now.admitted and not admitted):
                return
            if await self._recount(known, 0) is not None:
                return
