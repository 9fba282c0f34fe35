"""Using an upload until somebody else wants it.

When another request waits for the upload, who has it lets go: soon, for a client that comes back is alive and the
sender it left most likely is not; at once if that is silent, or if the upload is being dropped.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final, TypeVar

import anyio

from domain.errors import FencedError, PenstockError
from gateway.uploads.dropping import dropped, is_dropped
from gateway.uploads.open_upload import CALL_SECONDS, OpenUpload, taken_over
from gateway.uploads.sessions import Sessions

T = TypeVar("T")

#: How often it is looked meanwhile whether the upload is being dropped, in seconds.
_LOOK_SECONDS: Final = 0.1


class GivingWay:
    """Does something with an upload as long as it may.

    Args:
        silence_seconds: how long a sender may be silent before another request is preferred.
        yield_seconds: how long one that is not may go on then.
    """

    def __init__(
        self, opened: OpenUpload, sessions: Sessions, silence_seconds: float, yield_seconds: float
    ) -> None:
        self._opened = opened
        self._lease = opened.lease
        self._session_id = opened.session.id
        self._sessions = sessions
        self._silence_seconds = silence_seconds
        self._yield_seconds = yield_seconds
        self._failure: PenstockError | ConnectionError | None = None
        self._last_byte = time.monotonic()

    def heard(self) -> None:
        """Take note that the sender is not silent."""
        self._last_byte = time.monotonic()

    async def do(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do it, and break it off when somebody else is to have the upload.

        Raises:
            LockedError: another request takes the upload over, or has done so.
            GoneError: it is being dropped.
            PenstockError, ConnectionError: as the work does.
        """
        done: list[T] = []
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._yield_to_others, tasks.cancel_scope)
            tasks.start_soon(self._stop_when_lost, tasks.cancel_scope)
            tasks.start_soon(self._keep)
            try:
                done.append(await work())
            except FencedError:
                self._failure = taken_over()
            except (PenstockError, ConnectionError) as error:
                self._failure = self._failure or error
            tasks.cancel_scope.cancel()
        if self._failure is not None:
            raise self._failure
        return done[0]

    async def _yield_to_others(self, everything: anyio.CancelScope) -> None:
        """Let go when somebody waits."""
        await self._lease.wait_asked()
        end = time.monotonic() + self._yield_seconds
        while (left := min(end, self._last_byte + self._silence_seconds) - time.monotonic()) > 0:
            if await is_dropped(self._sessions, self._session_id):
                break
            await anyio.sleep(min(left, _LOOK_SECONDS))
        is_over = await is_dropped(self._sessions, self._session_id)
        self._failure = dropped() if is_over else taken_over()
        # A storage that gives no answer is not what whoever waits has to wait for.
        self._opened.patience.lose(CALL_SECONDS)
        everything.cancel()

    async def _keep(self) -> None:
        """Have it be kept from its last byte on, however long this takes, and whoever is killed meanwhile."""
        while True:
            await anyio.sleep(self._sessions.slack_seconds)
            with suppress(PenstockError):
                await self._opened.keep(self._sessions)

    async def _stop_when_lost(self, everything: anyio.CancelScope) -> None:
        await self._lease.wait_lost()
        self._failure = taken_over()
        everything.cancel()
