"""Uploads whose length is not known: what they take of a limit grows with them.

Room is reserved in steps, each before its bytes are stored, and each in one step with the upload's record; so those
that come together take no more than there is. Where little is left they take turns: else each might be refused for
what the others wanted, and were refused as well.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from typing import Final

import anyio

from bus.contract import Leases
from domain.errors import BusyError, ConflictError, PenstockError, QuotaExceededError, Subject, TooLargeError
from gateway.quotas import Quotas
from gateway.uploads.open_upload import OpenUpload
from gateway.uploads.reserved import freed, reserving
from gateway.uploads.session import UploadSession
from gateway.uploads.sessions import Sessions

#: Most bytes reserved ahead, and which part of what is left at most: others want some of it.
_STEP_BYTES: Final = 64 << 20
_SHARE: Final = 8
#: How often it is tried in turn, should somebody far from the limit have come in between.
_TRIES: Final = 3
#: How long one's turn is waited for, in seconds, and when somebody may come again for whom that was too long.
_PATIENCE_SECONDS: Final = 10.0
_RETRY_SECONDS: Final = 1.0
#: How long taking back what was not judged may take when its request was cancelled, in seconds.
_UNDO_SECONDS: Final = 10.0


class Reservations:
    """Changes what open uploads have reserved."""

    def __init__(self, leases: Leases, sessions: Sessions, quotas: Quotas) -> None:
        self._leases = leases
        self._sessions = sessions
        self._quotas = quotas

    async def room(self, opened: OpenUpload, wanted: int) -> int | None:
        """Bytes an upload may reserve besides what it has; None: it need not reserve any.

        Args:
            wanted: as `Quotas.room` has it.
        """
        return await self._quotas.room(opened.session, wanted)

    async def change(self, opened: OpenUpload, reserved: int, *, length: int | None = None) -> None:
        """Have an upload reserve so many bytes, and record its length if it is told.

        A process that dies before they are judged leaves them recorded: a length that was told is judged once more
        when the upload is finished.

        Raises:
            QuotaExceededError: they do not fit; all is as it was.
        """
        before = opened.session
        after = before if length is None else replace(before, length=length, length_told=True)
        try:
            await self._put(opened, replace(after, reserved_bytes=reserved))
            if reserved > before.reserved_bytes:
                await self._quotas.judge(opened.session)
        except BaseException:
            with suppress(PenstockError), anyio.move_on_after(_UNDO_SECONDS, shield=True):
                await self._put(opened, before)
            raise

    async def _put(self, opened: OpenUpload, wanted: UploadSession) -> None:
        await opened.change(
            self._sessions,
            lambda before: [*freed(before), *reserving(wanted)],
            reserved_bytes=wanted.reserved_bytes,
            length=wanted.length,
            length_told=wanted.length_told,
        )

    @asynccontextmanager
    async def turn(self, opened: OpenUpload) -> AsyncIterator[None]:
        """Be the only one who reserves where little is left. Raises BusyError."""
        session = opened.session
        owner = session.folder.scope or session.folder
        async with AsyncExitStack() as stack:
            try:
                name = f"reserving:{session.volume}:{owner}"
                await stack.enter_async_context(self._leases.hold(name, wait_seconds=_PATIENCE_SECONDS))
            except ConflictError as error:
                message = "too many uploads want what is left of the limit"
                raise BusyError(message, retry_after_seconds=_RETRY_SECONDS) from error
            yield


class Growing:
    """An upload that grows while a body is stored.

    Args:
        most: bytes it may have at most, whatever is left.
    """

    def __init__(self, opened: OpenUpload, reservations: Reservations, most: int) -> None:
        self._opened = opened
        self._reservations = reservations
        self._most = most
        self._is_exceeded = False

    @property
    def refusal(self) -> PenstockError:
        """What is wrong if it may not have as many bytes as it was to."""
        if self._is_exceeded:
            return QuotaExceededError("the owner's limit would be passed", subject=Subject.QUOTA_SCOPE)
        return TooLargeError(f"more than {self._most} bytes", max_bytes=self._most)

    async def reach(self, end: int) -> int:
        """Reserve what the upload needs to have `end` bytes, and some more; tells how many it may have."""
        wanted = min(end, self._most)
        if wanted > self._reserved and await self._reserve(wanted, ahead=True) is not None:
            self._is_exceeded = self._reserved < wanted
            return min(wanted, self._reserved)
        return wanted

    async def claim(self, end: int) -> bool:
        """Reserve exactly what the upload needs to have `end` bytes; False if not all of them fit."""
        if end > self._reserved and await self._reserve(end, ahead=False) is not None:
            self._is_exceeded = self._reserved < end
        return not self._is_exceeded

    @property
    def _reserved(self) -> int:
        return self._opened.session.reserved_bytes

    async def _reserve(self, wanted: int, *, ahead: bool) -> int | None:
        """Reserve; returns the room there was, None: there is no limit."""
        more = wanted - self._reserved
        room = await self._reservations.room(self._opened, 2 * more)
        if room is None or (2 * more <= room and await self._tried(wanted, room, ahead=ahead)):
            return room
        async with self._reservations.turn(self._opened):
            for _ in range(_TRIES):
                room = await self._reservations.room(self._opened, more)
                if room is None or await self._tried(wanted, room, ahead=ahead):
                    break
        return room

    async def _tried(self, wanted: int, room: int, *, ahead: bool) -> bool:
        """Reserve as much as may be; False if others were faster."""
        if ahead:
            some_more = min(self._most, self._reserved + min(_STEP_BYTES, room // _SHARE))
            wanted = min(self._reserved + room, max(wanted, some_more))
        if not self._reserved < wanted <= self._reserved + room:
            return True  # there is nothing to be had
        try:
            await self._reservations.change(self._opened, wanted)
        except QuotaExceededError:
            return False
        return True

    async def settle(self, offset: int) -> None:
        """Give back what was reserved ahead and not used."""
        if self._opened.session.length is None and self._reserved > offset:
            await self._reservations.change(self._opened, offset)
