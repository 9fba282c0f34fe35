"""Uploads this gateway is the only writer of.

Taking an upload costs several questions to Redis and the storage. A client that sends its file in many requests
comes back at once, so an upload stays open for a moment after a request: lease held, staging open. Whoever else
asks for it meanwhile gets it at once.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import replace
from typing import Final

import anyio
from anyio.abc import TaskGroup

from backends.contract import FileAccess, Staging
from backends.patience import Patience
from bus.contract import Lease, Leases
from domain.errors import (
    BusBrokenError,
    ConflictError,
    FencedError,
    GoneError,
    LockedError,
    NotFoundError,
    Subject,
)
from domain.ids import VolumeName
from gateway.uploads.digesting import Digests
from gateway.uploads.open_upload import CALL_SECONDS, SILENCE_SECONDS, OpenUpload, taken_over
from gateway.uploads.session import UploadSession, UploadState
from gateway.uploads.sessions import Known, Sessions

#: How long an upload nobody writes to stays open, in seconds, and how many do at most.
_LINGER_SECONDS: Final = 2.0
_LINGERING: Final = 1000


class OpenUploads:
    """Takes uploads, and keeps them open for a moment.

    Args:
        stage: makes the place of an upload's bytes.
        at_once: sees that nobody else puts one at its place that has such a place.
        settle: finishes an upload whose commit somebody began.
        patience_seconds: how long another holder is waited for.
    """

    def __init__(
        self,
        leases: Leases,
        sessions: Sessions,
        digests: Digests,
        files: Callable[[UploadSession], FileAccess],
        stage: Callable[[UploadSession], Awaitable[None]],
        at_once: Callable[[Known], Awaitable[Known]],
        settle: Callable[[Known], Awaitable[Known]],
        patience_seconds: float,
    ) -> None:
        self._leases = leases
        self._sessions = sessions
        self._digests = digests
        self._files = files
        self._stage = stage
        self._at_once = at_once
        self._settle = settle
        self._patience = patience_seconds
        # None stays open for nearly as long as an upload is kept.
        self._linger_seconds = min(_LINGER_SECONDS, sessions.open_seconds / 4)
        self._idle: dict[str, OpenUpload] = {}
        self._tasks: TaskGroup | None = None

    async def run(self) -> None:
        """Keep uploads open for a moment, from now until this is cancelled."""
        async with anyio.create_task_group() as tasks:
            self._tasks = tasks
            try:
                await anyio.sleep_forever()
            finally:
                self._tasks = None

    @asynccontextmanager
    async def use(self, session_id: str, volume: VolumeName | None = None) -> AsyncIterator[OpenUpload]:
        """Be the only writer of an upload; a writer on another connection is asked to let go.

        Args:
            volume: as `Sessions.load` has it.

        Raises:
            LockedError: it did not let go in time, or has taken the upload over meanwhile.
            NotFoundError (subject upload), GoneError: it is not there.
        """
        try:
            opened = await self._resume(session_id) or await self._open(session_id, volume)
            try:
                yield opened
            except BaseException:
                await self._close(opened)
                raise
            await self._put_back(opened)
        except FencedError as error:
            raise taken_over() from error

    @asynccontextmanager
    async def hold(self, session_id: str) -> AsyncIterator[Lease]:
        """Be the only one who uses an upload, as it may be. Raises LockedError as `use`."""
        async with AsyncExitStack() as stack:
            try:
                hold = self._leases.hold(f"upload:{session_id}", wait_seconds=self._patience)
                lease = await stack.enter_async_context(hold)
            except ConflictError as error:
                raise LockedError("another request is using the upload", subject=Subject.UPLOAD) from error
            yield lease

    async def is_elsewhere(self, session_id: str) -> bool:
        """Whether another request, or another gateway, has an upload in hand."""
        if session_id in self._idle:
            return False
        (held,) = await self._leases.held([f"upload:{session_id}"])
        return held

    def kept_open(self, session_id: str) -> Known | None:
        """An upload that is kept open here, as it was last recorded; None: it is not."""
        opened = self._idle.get(session_id)
        return None if opened is None else opened.known

    async def let_go(self, session_id: str) -> None:
        """Give back an upload that is only kept open."""
        opened = self._idle.pop(session_id, None)
        if opened is not None:
            opened.idle.cancel()
            await self._close(opened)

    async def _resume(self, session_id: str) -> OpenUpload | None:
        opened = self._idle.pop(session_id, None)
        if opened is None:
            return None
        opened.idle.cancel()
        try:
            await opened.lease.confirm()
            opened.known = await self._sessions.slide(opened.known, opened.lease)
        except (FencedError, BusBrokenError):
            await self._close(opened)
            return None
        except BaseException:
            await self._close(opened)
            raise
        return opened

    async def _open(self, session_id: str, volume: VolumeName | None) -> OpenUpload:
        async with AsyncExitStack() as stack:
            lease = await stack.enter_async_context(self.hold(session_id))
            patience = Patience()
            with self._giving_way(lease, patience):
                known = await self._sessions.require(session_id, volume)
                if self._sessions.is_over(known):
                    raise GoneError(f"{session_id}: expired", subject=Subject.UPLOAD)
                known, staging = await self._staged(await self._sessions.slide(known, lease), patience)
                if staging is not None:
                    stack.push_async_callback(staging.close)
                    known, staging = await self._drop_unverified(known, staging, lease, patience)
                    stack.push_async_callback(staging.close)
            digest = self._digests.resume(known.session, staging) if staging is not None else None
            return OpenUpload(known, lease, staging, digest, patience, stack.pop_all())
        raise AssertionError  # an exit stack swallows nothing here

    @contextmanager
    def _giving_way(self, lease: Lease, patience: Patience) -> Iterator[None]:
        """Have an upload that is being opened not wait long for its storage when somebody else wants it."""
        opening = anyio.CancelScope()
        if self._tasks is not None:
            self._tasks.start_soon(self._lose_patience, lease, patience, opening)
        try:
            yield
        finally:
            opening.cancel()

    @staticmethod
    async def _lose_patience(lease: Lease, patience: Patience, opening: anyio.CancelScope) -> None:
        with opening:
            await lease.wait_asked()
            await anyio.sleep(SILENCE_SECONDS)
            patience.lose(CALL_SECONDS)

    async def _staged(self, known: Known, patience: Patience) -> tuple[Known, Staging | None]:
        """An upload as it is now, with its staging; None if nothing can be written to it."""
        while True:
            if known.session.state is UploadState.COMMITTING:
                # Who began to finish it may be dead, and its bytes may have been renamed away already.
                known = await self._settle(known)
            if known.session.state is not UploadState.OPEN or known.session.is_final:
                return known, None
            staging = await self._staging(known.session, patience)
            if staging is not None:
                now = await self._without_others(known, staging)
                if now.revision == known.revision:
                    return known, staging
            elif (now := await self._sessions.require(known.session.id)).revision == known.revision:
                # Nobody is finishing it, or that would be recorded: who began it died before its bytes had a place,
                # or they were lost with the machine that had not written them to its disk.
                await self._stage(known.session)
            known = now

    async def _without_others(self, known: Known, staging: Staging) -> Known:
        """An upload as it is once nobody can put it at its place but who has its staging.

        One that was put there has no use for a staging any more.
        """
        try:
            now = await self._at_once(known) if staging.offset == 0 else known
        except BaseException:
            await staging.close()
            raise
        if now.revision != known.revision:
            await staging.close()
        if now.session.state is UploadState.COMMITTED:
            await self._files(now.session).discard_staging(now.session.id)
        return now

    async def _staging(self, session: UploadSession, patience: Patience) -> Staging | None:
        try:
            return await self._files(session).open_staging(session.id, patience)
        except NotFoundError as error:
            if error.subject is not Subject.UPLOAD:
                raise
            return None

    async def _drop_unverified(
        self, known: Known, staging: Staging, lease: Lease, patience: Patience
    ) -> tuple[Known, Staging]:
        """Drop bytes that were not compared with their checksum."""
        session, floor = known.session, known.session.floor
        if floor is None:
            return known, staging
        await lease.confirm()
        if session.unsettled:
            await staging.close()
            await self._files(session).renew_staging(session.id, floor)
            staging = await self._files(session).open_staging(session.id, patience)
        elif staging.offset > floor:
            try:
                await staging.truncate(floor)
            finally:
                if staging.is_stuck:
                    await self._sessions.replace(known, replace(session, unsettled=True), lease=lease)
        dropped = replace(session, floor=None, unsettled=False)
        return await self._sessions.replace(known, dropped, lease=lease) or known, staging

    async def _put_back(self, opened: OpenUpload) -> None:
        staging = opened.staging
        is_wanted = not opened.is_complete and not opened.is_dropped
        lingers = staging is not None and not staging.is_stuck and is_wanted and len(self._idle) < _LINGERING
        if self._tasks is None:
            await self._close(opened)
        elif not lingers:
            self._tasks.start_soon(self._close, opened)
        else:
            opened.idle = anyio.CancelScope()
            self._idle[opened.session.id] = opened
            self._tasks.start_soon(self._linger, opened, opened.idle)

    async def _linger(self, opened: OpenUpload, idle: anyio.CancelScope) -> None:
        """Wait until it is used again, somebody else wants it, or a moment is over."""
        try:
            with idle, anyio.move_on_after(self._linger_seconds):
                await opened.lease.wait_asked()
                opened.patience.lose(CALL_SECONDS)
        finally:
            # It may have been used and given back before this task noticed; then it waits anew, with another scope.
            if opened.idle is idle and self._idle.get(opened.session.id) is opened:
                del self._idle[opened.session.id]
                await self._close(opened)

    async def _close(self, opened: OpenUpload) -> None:
        staging = opened.staging
        if staging is not None and staging.is_stuck:
            await opened.tell_stuck(self._sessions, staging)
        elif staging is not None and not opened.is_complete and opened.session.floor is None:
            # Bytes that were not compared may be dropped by whoever has it next, and others come in their place.
            self._digests.keep(opened.session, staging.offset, opened.digest)
        await opened.close()
