"""Storing a request's body in an upload.

When another request waits for the upload and this one's sender is silent, it lets go; from then on not one more
byte is stored. How bytes get from the connection to storage: `from_socket` and `from_pieces`.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Final

import anyio

from backends.contract import Hasher, Staging
from backends.powers import ReceivesFromSocket
from domain.errors import (
    ChecksumMismatchError,
    ConflictError,
    FencedError,
    PenstockError,
    QuotaExceededError,
    Subject,
    TooLargeError,
)
from gateway.observer import GatewayObserver
from gateway.protocol.checksum import Checksum
from gateway.protocol.tus import Accept
from gateway.quotas import Quotas
from gateway.transfer.receive import Body
from gateway.uploads.from_pieces import PiecesBody
from gateway.uploads.from_socket import SocketBody
from gateway.uploads.opened import OpenUpload
from gateway.uploads.reserved import freed
from gateway.uploads.sessions import Sessions

#: How long a sender may be silent before another request of the same upload is preferred, in seconds.
SILENCE_SECONDS: Final = 1.0
#: How long dropping bytes that do not count may take when their request was cancelled, in seconds.
_UNDO_SECONDS: Final = 10.0


class Writer:
    """Stores bodies in open uploads."""

    def __init__(self, sessions: Sessions, quotas: Quotas, observer: GatewayObserver, batch_bytes: int) -> None:
        self._sessions = sessions
        self._quotas = quotas
        self._observer = observer
        self._batch_bytes = batch_bytes

    async def store(self, opened: OpenUpload, body: Body, accept: Accept) -> None:
        """Store a body that was accepted.

        Raises:
            TooLargeError, QuotaExceededError: more bytes than may be.
            ChecksumMismatchError: other bytes than announced; none of them count.
            ConflictError: another request took the upload over.
            ConnectionError: the sender is gone; the upload's offset tells how much was stored.
            PenstockError: the storage failed; likewise.
        """
        if opened.staging is None:
            await _refuse_bytes(body)
            return
        if accept.length is not None:
            await self.tell_length(opened, accept.length)
        limit, too_many = await self._limit(opened, body, accept)
        storing = _Storing(opened, self._observer, limit, too_many, self._batch_bytes)
        if accept.checksum is None:
            await storing.store(opened.staging, body, may_end=not opened.session.unpack)
            return
        async with self._verified(opened, opened.staging, accept.checksum):
            await storing.store(opened.staging, body)

    async def tell_length(self, opened: OpenUpload, length: int) -> None:
        """Take note of the length of a deferred upload. Raises QuotaExceededError."""
        before = opened.session
        await self._quotas.judge(before, length)
        told = replace(before, length=length, reserved_bytes=length)
        besides = [*freed(before), *await self._quotas.reservation(told)]
        await opened.change(self._sessions, besides, length=length, reserved_bytes=length)
        try:
            await self._quotas.judge(told)  # another one may have come together with it
        except QuotaExceededError:
            besides = [*freed(told), *await self._quotas.reservation(before)]
            await opened.change(self._sessions, besides, length=before.length, reserved_bytes=before.reserved_bytes)
            raise

    async def _limit(self, opened: OpenUpload, body: Body, accept: Accept) -> tuple[int, PenstockError]:
        """How many bytes the body may have, and what is wrong if it has more."""
        too_large = TooLargeError("more bytes than the upload's length")
        if opened.session.length is not None:
            return accept.limit, too_large
        room = await self._quotas.room(opened.session)
        if room is None or room - accept.offset >= accept.limit:
            return accept.limit, too_large
        exceeded = QuotaExceededError("the owner's limit would be passed", subject=Subject.QUOTA_SCOPE)
        limit = max(room - accept.offset, 0)
        if body.length is not None and body.length > limit:
            raise exceeded
        return limit, exceeded

    @asynccontextmanager
    async def _verified(self, opened: OpenUpload, staging: Staging, checksum: Checksum) -> AsyncIterator[None]:
        """What is stored meanwhile counts if it is what the checksum says, also after a crash."""
        start = staging.offset
        digest = opened.digest.copy() if opened.digest is not None else None
        hasher = checksum.hasher()
        await opened.change(self._sessions, floor=start)
        staging.hashers.append(hasher)
        try:
            yield
        except BaseException:
            with anyio.move_on_after(_UNDO_SECONDS, shield=True):
                await self._undo(opened, staging, start, digest)
            raise
        finally:
            staging.hashers.remove(hasher)
        if hasher.digest() != checksum.digest:
            await self._undo(opened, staging, start, digest)
            raise ChecksumMismatchError(f"the body's {checksum.algorithm} is not the one announced", offset=start)
        await opened.change(self._sessions, floor=None)

    async def _undo(self, opened: OpenUpload, staging: Staging, start: int, digest: Hasher | None) -> None:
        await staging.truncate(start)
        if opened.digest is not None:
            staging.hashers.remove(opened.digest)
        if digest is not None:
            staging.hashers.append(digest)
        opened.digest = digest
        await opened.change(self._sessions, floor=None)


class _Storing:
    """One body being stored."""

    def __init__(
        self,
        opened: OpenUpload,
        observer: GatewayObserver,
        limit: int,
        too_many: PenstockError,
        batch_bytes: int,
    ) -> None:
        self._opened = opened
        self._volume = opened.session.volume
        self._lease = opened.lease
        self._observer = observer
        self._limit = limit
        self._too_many = too_many
        self._batch_bytes = batch_bytes
        self._failure: PenstockError | ConnectionError | None = None
        self._last_byte = time.monotonic()

    async def store(self, staging: Staging, body: Body, *, may_end: bool = False) -> None:
        """Store it. Raises as `Writer.store`.

        Args:
            may_end: nothing is to be looked at between its last byte and the end of the upload.
        """
        data = body.at_hand(min(self._limit, self._batch_bytes))
        if data is None:
            await self._store_while_coming(staging, body)
        elif data:
            await self._store_at_hand(staging, data, may_end=may_end)

    async def _store_at_hand(self, staging: Staging, data: bytes, *, may_end: bool) -> None:
        """Store a body nobody has to be waited for any more."""
        before, session = staging.offset, self._opened.session
        ends = may_end and before + len(data) == session.length
        try:
            await self._lease.confirm()
            if ends and session.destination is not None:
                self._opened.synced = await staging.append_last([data], session.destination)
            else:
                await staging.append([data])
        except FencedError as error:
            raise _taken_over() from error
        finally:
            self._stored(staging.offset - before)

    async def _store_while_coming(self, staging: Staging, body: Body) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._yield_to_others, tasks.cancel_scope)
            tasks.start_soon(self._stop_when_lost, tasks.cancel_scope)
            await self._store(staging, body)
            tasks.cancel_scope.cancel()
        if self._failure is not None:
            raise self._failure

    async def _store(self, staging: Staging, body: Body) -> None:
        try:
            if isinstance(staging, ReceivesFromSocket) and (handover := body.handover()) is not None:
                await SocketBody(handover, body.idle_seconds, self._lease, self._moved).store(staging)
            else:
                await PiecesBody(
                    body, self._limit, self._too_many, self._batch_bytes, self._lease, self._heard, self._stored
                ).store(staging)
        except FencedError:
            self._failure = _taken_over()
        except (PenstockError, ConnectionError) as error:
            self._failure = error

    def _heard(self) -> None:
        self._last_byte = time.monotonic()

    def _stored(self, count: int) -> None:
        self._observer.received(self._volume, count)

    def _moved(self, count: int) -> None:
        if count:
            self._heard()
            self._stored(count)

    async def _yield_to_others(self, everything: anyio.CancelScope) -> None:
        """Let go when somebody waits and our sender is silent: it is most likely the same client, come back."""
        await self._lease.wait_asked()
        while (silent := time.monotonic() - self._last_byte) < SILENCE_SECONDS:
            await anyio.sleep(SILENCE_SECONDS - silent)
        self._failure = _taken_over()
        everything.cancel()

    async def _stop_when_lost(self, everything: anyio.CancelScope) -> None:
        await self._lease.wait_lost()
        self._failure = _taken_over()
        everything.cancel()


async def _refuse_bytes(body: Body) -> None:
    """A finished upload takes an empty body, which changes nothing, and no other."""
    if await body.read():
        raise TooLargeError("the upload is finished")


def _taken_over() -> ConflictError:
    return ConflictError("another request has taken the upload over", subject=Subject.UPLOAD)
