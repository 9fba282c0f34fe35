"""Room for what archives become.

It is counted with the upload's record, in one step, before it is judged whether it fits: of two that come together
not both can take the last room. The step that finishes the upload, or drops it, gives back what it has reserved.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Final

import anyio
from loguru import logger

from domain.errors import PenstockError, QuotaExceededError
from gateway.quotas import Quotas
from gateway.uploads.reserved import freed
from gateway.uploads.session import UploadSession, UploadState
from gateway.uploads.sessions import Sessions

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
    async def reserved(self, session: UploadSession, total: int) -> AsyncIterator[None]:
        """Have an archive's bytes counted that it unpacks to; if the block fails they are given back.

        One that another process has counted already is not counted again, and not given back here.

        Raises:
            QuotaExceededError: they do not fit; nothing is counted.
            NotFoundError (subject upload), GoneError: there is no such upload any more.
        """
        is_ours = await self._quotas.is_limited(session) and await self._take(session, total)
        try:
            yield
        except BaseException:
            if is_ours:
                await self._give_back(session)
            raise

    async def _take(self, session: UploadSession, total: int) -> bool:
        """Count so many bytes and see that they fit; False if somebody else has counted them."""
        for left in reversed(range(_TRIES)):
            if (await self._sessions.require(session.id)).session.state is not UploadState.OPEN:
                break  # it was unpacked, and judged before that
            is_ours = await self._count(session.id, total)
            try:
                await self._quotas.judge(session)
                return is_ours
            except QuotaExceededError:
                if is_ours:
                    await self._give_back(session)
                if not left:
                    raise
            await anyio.sleep(random.uniform(0, _PAUSE_SECONDS))  # noqa: S311  only to be out of step
        return False

    async def _count(self, session_id: str, total: int) -> bool:
        """Have so many bytes counted besides an upload's own; False: they are, or it is being finished."""
        while True:
            known = await self._sessions.require(session_id)
            before = known.session
            if before.state is not UploadState.OPEN or before.unpacked_bytes == total:
                return False
            reserved = before.reserved_bytes - before.unpacked_bytes + total
            after = replace(before, reserved_bytes=reserved, unpacked_bytes=total)
            besides = [*freed(before), *await self._quotas.reservation(after)]
            if await self._sessions.replace(known, after, changes=besides) is not None:
                return True

    async def _give_back(self, session: UploadSession) -> None:
        with anyio.move_on_after(_UNDO_SECONDS, shield=True):
            try:
                await self._count(session.id, 0)
            except PenstockError as error:
                logger.warning("room of upload {}, given back when it ends: {}", session.id, error)
