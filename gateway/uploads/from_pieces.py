"""Storing a body that comes in pieces from the HTTP library.

Reading from the connection and writing to storage overlap; at most two batches are in memory. When the sender goes
away, stands still or sends too much, what came before is stored.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from backends.contract import Staging
from bus.contract import Lease
from domain.errors import PenstockError
from gateway.transfer.receive import Body
from gateway.uploads.allowance import Allowance

#: How long bytes may wait for more before they are written, in seconds.
_GATHER_SECONDS: Final = 0.05


class PiecesBody:
    """One body on its way from the HTTP library to staging."""

    def __init__(
        self,
        body: Body,
        allowance: Allowance,
        batch_bytes: int,
        lease: Lease,
        heard: Callable[[], None],
        stored: Callable[[int], None],
    ) -> None:
        self._body = body
        self._allowance = allowance
        self._batch_bytes = batch_bytes
        self._lease = lease
        #: Called when bytes came, and with how many were stored.
        self._heard = heard
        self._stored = stored
        self._failure: PenstockError | ConnectionError | None = None

    async def store(self, staging: Staging) -> None:
        """Append the body to a staging file.

        Raises:
            PenstockError: more bytes came than are allowed.
            FencedError: the lease is lost.
            ConnectionError: the sender is gone or stands still.
            PenstockError: the storage failed.
        """
        send, receive = anyio.create_memory_object_stream[list[bytes]](0)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._write, staging, receive, tasks.cancel_scope)
            async with send:
                await self._read(send, staging.offset)
        if self._failure is not None:
            raise self._failure

    async def _read(self, send: MemoryObjectSendStream[list[bytes]], offset: int) -> None:
        batch: list[bytes] = []
        size = 0
        try:
            while self._failure is None:
                chunk = await self._next(pending=bool(batch))
                if chunk == b"":
                    break
                if chunk is not None:
                    taken = await self._within(chunk, offset)
                    offset += len(taken)
                    size += len(taken)
                    batch.append(taken)
                if chunk is None or size >= self._batch_bytes:
                    await send.send(batch)
                    batch, size = [], 0
        except (PenstockError, ConnectionError) as error:
            self._failure = error
        if batch:
            await send.send(batch)

    async def _next(self, *, pending: bool) -> bytes | None:
        """The next bytes; None if none came for a moment and those gathered before should not wait for them."""
        if not pending:
            chunk = await self._body.read()
        else:
            with anyio.move_on_after(_GATHER_SECONDS) as waiting:
                chunk = await self._body.read()
            if waiting.cancelled_caught:
                return None
        self._heard()
        return chunk

    async def _within(self, chunk: bytes, offset: int) -> bytes:
        allowed = await self._allowance.reach(offset + len(chunk)) - offset
        if allowed < len(chunk):
            self._failure = self._allowance.refusal
        return chunk[:allowed]

    async def _write(
        self,
        staging: Staging,
        receive: MemoryObjectReceiveStream[list[bytes]],
        everything: anyio.CancelScope,
    ) -> None:
        async with receive:
            try:
                async for batch in receive:
                    await self._lease.confirm()
                    before = staging.offset
                    await staging.append(batch)
                    self._stored(staging.offset - before)
            except PenstockError as error:
                self._failure = error
                everything.cancel()  # nothing that is still read could be stored; before the end of who hands it on
