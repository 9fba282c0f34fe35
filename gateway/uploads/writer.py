"""Storing a request's body in an upload, or only reading it.

When another request is to have the upload (`giving_way`), not one more byte is stored. How bytes get from the
connection to storage: `from_socket` and `from_pieces`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Final, TypeVar

import anyio

from backends.contract import Hasher, Staging
from backends.powers import ReceivesFromSocket
from domain.errors import (
    ChecksumMismatchError,
    FencedError,
    PenstockError,
    TooLargeError,
)
from gateway.observer import GatewayObserver
from gateway.protocol.checksum import Checksum
from gateway.protocol.tus import Accept
from gateway.transfer.receive import Body
from gateway.uploads.allowance import Allowance, Announced
from gateway.uploads.comparing import ReadBody
from gateway.uploads.from_pieces import PiecesBody
from gateway.uploads.from_socket import SocketBody
from gateway.uploads.giving_way import GivingWay
from gateway.uploads.growing import Growing, Reservations
from gateway.uploads.open_upload import SILENCE_SECONDS, OpenUpload, taken_over
from gateway.uploads.said import NOTHING_SAID, Said
from gateway.uploads.sessions import Sessions

T = TypeVar("T")

#: How long a sender that is not silent may go on when another request wants its upload, in seconds: whoever waits
#: is answered within two.
YIELD_SECONDS: Final = 1.5
#: How long dropping bytes that do not count may take when their request was cancelled, in seconds.
_UNDO_SECONDS: Final = 10.0


class Writer:
    """Stores bodies in open uploads."""

    def __init__(
        self, sessions: Sessions, reservations: Reservations, observer: GatewayObserver, batch_bytes: int
    ) -> None:
        self._sessions = sessions
        self._reservations = reservations
        self._observer = observer
        self._batch_bytes = batch_bytes

    async def store(self, opened: OpenUpload, body: Body, accept: Accept, said: Said = NOTHING_SAID) -> None:
        """Store a body that was accepted, and record what was said beside it.

        Of a body that is compared with its checksum nothing is recorded before that, neither what was said nor a
        length that is told with it: what is refused leaves nothing behind.

        Raises:
            TooLargeError, QuotaExceededError: more bytes than may be.
            ChecksumMismatchError: other bytes than announced; none of them count.
            LockedError: another request took the upload over.
            GoneError: it was dropped meanwhile.
            ConnectionError: the sender is gone; the upload's offset tells how much was stored.
            PenstockError: the storage failed; likewise.
        """
        if opened.staging is None:
            await self._refuse_bytes(opened, body, accept)
            return
        if accept.checksum is None:
            await self._record(opened, accept, said)
        async with self._allowed(opened, body, accept) as allowance:
            storing = _Storing(opened, self._observer, allowance, self._batch_bytes, self._way(opened))
            if accept.checksum is None:
                await storing.store(opened.staging, body, may_end=not opened.session.unpack)
                return
            async with self._verified(opened, opened.staging, accept.checksum, _all_said(accept, said)):
                await storing.store(opened.staging, body)

    async def _record(self, opened: OpenUpload, accept: Accept, said: Said) -> None:
        if said:
            await opened.change(self._sessions, **said)
        if accept.length is not None:
            await self.tell_length(opened, accept.length)

    async def pass_over(self, opened: OpenUpload, body: Body, work: Callable[[ReadBody], Awaitable[T]]) -> T:
        """Do something with a body that is not stored, unless somebody else wants the upload meanwhile.

        Raises:
            LockedError, GoneError, ConnectionError: as `store`.
            PenstockError: as the work does.
        """
        way = self._way(opened)

        async def read() -> bytes:
            piece = await body.read()
            way.heard()
            return piece

        return await way.do(partial(work, read))

    async def _refuse_bytes(self, opened: OpenUpload, body: Body, accept: Accept) -> None:
        """A finished upload takes an empty body, which changes nothing, and no other."""
        if body.length != 0 and await self.pass_over(opened, body, _has_bytes):
            raise TooLargeError("the upload is finished")
        if accept.checksum is not None:
            accept.checksum.check(b"", accept.offset)

    def _way(self, opened: OpenUpload) -> GivingWay:
        return GivingWay(opened, self._sessions, SILENCE_SECONDS, YIELD_SECONDS)

    async def tell_length(self, opened: OpenUpload, length: int) -> None:
        """Take note of the length of a deferred upload. Raises QuotaExceededError."""
        await self._reservations.change(opened, length, length=length)

    @asynccontextmanager
    async def _allowed(self, opened: OpenUpload, body: Body, accept: Accept) -> AsyncIterator[Allowance]:
        """How many bytes the upload may have with a body; raises what is wrong if that is known to have more."""
        most = accept.offset + accept.limit
        if opened.session.length is not None:
            yield Announced(most)
            return
        growing = Growing(opened, self._reservations, most)
        try:
            if accept.length is not None:
                await self._reservations.change(opened, accept.length)
                yield Announced(most)
                return
            if body.length is not None and not await growing.claim(accept.offset + body.length):
                raise growing.refusal
            yield growing
        finally:
            # If that fails, it is done with the next body, or when the upload ends.
            with suppress(PenstockError), anyio.move_on_after(_UNDO_SECONDS, shield=True):
                await growing.settle(opened.offset or 0)

    @asynccontextmanager
    async def _verified(
        self, opened: OpenUpload, staging: Staging, checksum: Checksum, said: Said
    ) -> AsyncIterator[None]:
        """What is stored meanwhile counts if it is what the checksum says, also after a crash.

        Args:
            said: recorded in the step from which on it counts.
        """
        await _confirm(opened, staging)
        start = staging.offset
        digest = opened.digest.copy() if opened.digest is not None else None
        hasher = checksum.hasher()
        await opened.change(self._sessions, floor=start)
        staging.hashers.append(hasher)
        try:
            yield
        except BaseException:
            with suppress(FencedError), anyio.move_on_after(_UNDO_SECONDS, shield=True):
                await self._undo(opened, staging, start, digest)
            raise
        finally:
            staging.hashers.remove(hasher)
        if hasher.digest() != checksum.digest:
            await self._undo(opened, staging, start, digest)
            raise ChecksumMismatchError(f"the body's {checksum.algorithm} is not the one announced", offset=start)
        await _confirm(opened, staging)
        await opened.change(self._sessions, floor=None, **said)

    async def _undo(self, opened: OpenUpload, staging: Staging, start: int, digest: Hasher | None) -> None:
        """Drop what was stored in vain. Raises FencedError: whoever has the upload now sees to that."""
        await _confirm(opened, staging)
        if staging.is_stuck:
            return  # some of it may be stored later; whoever opens the upload next sees to that
        # A lease Redis has forgotten is trusted here for a while, and somebody else may have stored bytes since.
        await opened.change(self._sessions, floor=start)
        await staging.truncate(start)
        _put_digest(opened, staging, digest)
        await opened.change(self._sessions, floor=None)


def _all_said(accept: Accept, said: Said) -> Said:
    """What was said beside a body, and the length it tells, which was judged."""
    return said if accept.length is None else {**said, "length": accept.length, "length_told": True}


async def _has_bytes(read: ReadBody) -> bool:
    return bool(await read())


async def _confirm(opened: OpenUpload, staging: Staging) -> None:
    """See that an upload is still ours. Raises FencedError: nothing of it is to be touched."""
    try:
        await opened.lease.confirm()
    except FencedError:
        _put_digest(opened, staging, None)  # it has seen bytes that do not count any more
        raise


def _put_digest(opened: OpenUpload, staging: Staging, digest: Hasher | None) -> None:
    if opened.digest is not None:
        staging.hashers.remove(opened.digest)
    if digest is not None:
        staging.hashers.append(digest)
    opened.digest = digest


class _Storing:
    """One body being stored."""

    def __init__(
        self,
        opened: OpenUpload,
        observer: GatewayObserver,
        allowance: Allowance,
        batch_bytes: int,
        way: GivingWay,
    ) -> None:
        self._opened = opened
        self._volume = opened.session.volume
        self._lease = opened.lease
        self._observer = observer
        self._allowance = allowance
        self._batch_bytes = batch_bytes
        self._way = way

    async def store(self, staging: Staging, body: Body, *, may_end: bool = False) -> None:
        """Store it. Raises as `Writer.store`.

        Args:
            may_end: nothing is to be looked at between its last byte and the end of the upload.
        """
        data = body.at_hand(self._batch_bytes)
        if data is None:
            await self._way.do(partial(self._store_while_coming, staging, body))
        elif data:
            allowed = await self._allowance.reach(staging.offset + len(data)) - staging.offset
            if allowed:
                await self._store_at_hand(staging, data[:allowed], may_end=may_end)
            if allowed < len(data):
                raise self._allowance.refusal

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
            raise taken_over() from error
        finally:
            self._stored(staging.offset - before)

    async def _store_while_coming(self, staging: Staging, body: Body) -> None:
        if isinstance(staging, ReceivesFromSocket) and (handover := body.handover()) is not None:
            await SocketBody(handover, body.idle_seconds, self._lease, self._moved).store(staging)
        else:
            await PiecesBody(
                body, self._allowance, self._batch_bytes, self._lease, self._way.heard, self._stored
            ).store(staging)

    def _stored(self, count: int) -> None:
        self._observer.received(self._volume, count)

    def _moved(self, count: int) -> None:
        if count:
            self._way.heard()
            self._stored(count)
