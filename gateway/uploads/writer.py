"""Storing a request's body in an upload.

When another request waits for the upload and this one's sender is silent, it lets go; from then on not one more
byte is stored. How bytes get from the connection to storage: `from_socket` and `from_pieces`.
"""

from __future__ import annotations

import time
from typing import Final

import anyio

from backends.contract import Staging
from backends.powers import ReceivesFromSocket
from bus.contract import Lease
from domain.errors import ConflictError, FencedError, PenstockError, Subject, TooLargeError
from gateway.observer import GatewayObserver
from gateway.transfer.receive import Body
from gateway.uploads.from_pieces import PiecesBody
from gateway.uploads.from_socket import SocketBody
from gateway.uploads.session import UploadSession

#: How long a sender may be silent before another request of the same upload is preferred, in seconds.
_SILENCE_SECONDS: Final = 1.0


class Writer:
    """The only writer of one upload, for as long as it holds the lease."""

    def __init__(
        self, session: UploadSession, staging: Staging | None, lease: Lease, observer: GatewayObserver
    ) -> None:
        self.session = session
        self._staging = staging
        self._lease = lease
        self._observer = observer
        self._failure: PenstockError | ConnectionError | None = None
        self._last_byte = 0.0

    @property
    def offset(self) -> int:
        """Bytes stored; all of them if the upload is finished."""
        return self.session.length if self._staging is None else self._staging.offset

    async def store(self, body: Body, limit: int, batch_bytes: int) -> None:
        """Store up to `limit` bytes of a body.

        Raises:
            TooLargeError: there were more.
            ConflictError: another request took the upload over.
            ConnectionError: the sender is gone; `offset` tells how much was stored.
            PenstockError: the storage failed; likewise.
        """
        if self._staging is None:
            await _refuse_bytes(body)
            return
        self._last_byte = time.monotonic()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._yield_to_others, tasks.cancel_scope)
            tasks.start_soon(self._stop_when_lost, tasks.cancel_scope)
            await self._store(self._staging, body, limit, batch_bytes)
            tasks.cancel_scope.cancel()
        if self._failure is not None:
            raise self._failure

    async def _store(self, staging: Staging, body: Body, limit: int, batch_bytes: int) -> None:
        try:
            if isinstance(staging, ReceivesFromSocket) and (handover := body.handover()) is not None:
                await SocketBody(handover, body.idle_seconds, self._lease, self._moved).store(staging)
            else:
                await PiecesBody(body, limit, batch_bytes, self._lease, self._heard, self._stored).store(staging)
        except FencedError:
            self._failure = _taken_over()
        except (PenstockError, ConnectionError) as error:
            self._failure = error

    def _heard(self) -> None:
        self._last_byte = time.monotonic()

    def _stored(self, count: int) -> None:
        self._observer.received(self.session.volume, count)

    def _moved(self, count: int) -> None:
        if count:
            self._heard()
            self._stored(count)

    async def _yield_to_others(self, everything: anyio.CancelScope) -> None:
        """Let go when somebody waits and our sender is silent: it is most likely the same client, come back."""
        await self._lease.wait_asked()
        while (silent := time.monotonic() - self._last_byte) < _SILENCE_SECONDS:
            await anyio.sleep(_SILENCE_SECONDS - silent)
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
