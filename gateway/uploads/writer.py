"""Storing a request's body in an upload.

Reading from the connection and writing to storage overlap; at most two batches are in memory. When the sender
goes away, stands still or sends too much, what came before is stored. When another request waits for the upload
and this one's sender is silent, it lets go; from then on not one more byte is stored.
"""

from __future__ import annotations

import time
from typing import Final, Protocol

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from backends.contract import Staging
from bus.contract import Lease
from domain.errors import ConflictError, FencedError, PenstockError, Subject, TooLargeError
from gateway.observer import GatewayObserver
from gateway.uploads.session import UploadSession

#: How long a sender may be silent before another request of the same upload is preferred, in seconds.
_SILENCE_SECONDS: Final = 1.0
#: How long bytes may wait for more before they are written, in seconds.
_GATHER_SECONDS: Final = 0.05


class Body(Protocol):
    """A request's body as it arrives."""

    async def read(self) -> bytes:
        """The next bytes; empty at the end. Raises ConnectionError if the sender is gone or stands still."""


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
        send, receive = anyio.create_memory_object_stream[list[bytes]](0)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._write, self._staging, receive, tasks.cancel_scope)
            tasks.start_soon(self._yield_to_others, tasks.cancel_scope)
            tasks.start_soon(self._stop_when_lost, tasks.cancel_scope)
            async with send:
                await self._read(body, limit, batch_bytes, send)
        if self._failure is not None:
            raise self._failure

    async def _read(
        self, body: Body, limit: int, batch_bytes: int, send: MemoryObjectSendStream[list[bytes]]
    ) -> None:
        batch: list[bytes] = []
        size = 0
        try:
            while self._failure is None:
                chunk = await self._next(body, pending=bool(batch))
                if chunk == b"":
                    break
                if chunk is not None:
                    taken = self._within(chunk, limit)
                    limit -= len(taken)
                    size += len(taken)
                    batch.append(taken)
                if chunk is None or size >= batch_bytes:
                    await send.send(batch)
                    batch, size = [], 0
        except (PenstockError, ConnectionError) as error:
            self._failure = error
        if batch:
            await send.send(batch)

    async def _next(self, body: Body, *, pending: bool) -> bytes | None:
        """The next bytes; None if none came for a moment and those gathered before should not wait for them."""
        if not pending:
            chunk = await body.read()
        else:
            with anyio.move_on_after(_GATHER_SECONDS) as waiting:
                chunk = await body.read()
            if waiting.cancelled_caught:
                return None
        self._last_byte = time.monotonic()
        return chunk

    def _within(self, chunk: bytes, limit: int) -> bytes:
        if len(chunk) <= limit:
            return chunk
        self._failure = TooLargeError("more bytes than the upload's length")
        return chunk[:limit]

    async def _write(
        self,
        staging: Staging,
        receive: MemoryObjectReceiveStream[list[bytes]],
        everything: anyio.CancelScope,
    ) -> None:
        try:
            async with receive:
                async for batch in receive:
                    await self._lease.confirm()
                    before = staging.offset
                    await staging.append(batch)
                    self._observer.received(self.session.volume, staging.offset - before)
        except FencedError:
            self._failure = _taken_over()
        except PenstockError as error:
            self._failure = error
        everything.cancel()

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
