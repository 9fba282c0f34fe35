"""Streams of events over HTTP: Server-Sent Events (WHATWG HTML, section 9.2)."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import anyio
from aiohttp import web

from bus.contract import Broadcasted, Gap, Position
from domain.envelope import Envelope
from domain.errors import BusyError
from gateway.gate import Gate

#: How long a connection is silent at most, in seconds.
_HEARTBEAT_SECONDS: Final = 15.0
#: What a client is told to wait before it reconnects, in milliseconds.
_RETRY_MS: Final = 2000
_HEADERS: Final = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",
}


@dataclass(frozen=True, slots=True)
class Piece:
    """What is sent of something that happened; and whether nothing will follow."""

    text: str = ""
    is_last: bool = False


#: Says what is sent of an event.
Picker = Callable[[Broadcasted | Gap], Awaitable[Piece]]


class Following:
    """Clients of one gateway that follow events."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._streams = 0

    async def stream(
        self,
        request: web.Request,
        pick: Picker,
        *,
        after: Position | None = None,
        first: Callable[[], Awaitable[Piece]] | None = None,
    ) -> web.StreamResponse:
        """Stream events until the client leaves, the gateway stops, or nothing will follow.

        Args:
            first: what is sent before all events, made when none can be missed any more.

        Raises:
            BusyError: too many follow already.
        """
        if self._streams >= self._gate.settings.event_streams:
            raise BusyError("too many follow the events on this gateway", retry_after_seconds=5.0)
        self._streams += 1
        try:
            async with self._gate.bus.events.watch(after) as subscription:
                opening = await first() if first is not None else Piece()
                response = web.StreamResponse(headers=_HEADERS)
                await response.prepare(request)
                await self._write(response, f"retry: {_RETRY_MS}\n\n{opening.text}")
                if not opening.is_last:
                    await self._send_until_stop(response, aiter(subscription), pick)
            return response
        except ExceptionGroup as group:
            raise _one_of(group) from group
        finally:
            self._streams -= 1

    async def _send_until_stop(
        self, response: web.StreamResponse, found: AsyncIterator[Broadcasted | Gap], pick: Picker
    ) -> None:
        async with anyio.create_task_group() as tasks:

            async def until_stop() -> None:
                await self._gate.stopping.wait()
                tasks.cancel_scope.cancel()

            tasks.start_soon(until_stop)
            await self._send_all(response, found, pick)
            tasks.cancel_scope.cancel()

    async def _send_all(
        self, response: web.StreamResponse, found: AsyncIterator[Broadcasted | Gap], pick: Picker
    ) -> None:
        """Pass events on. Reading and writing are two tasks, because cutting a wait short would end the reading."""
        send, receive = anyio.create_memory_object_stream[Broadcasted | Gap](0)

        async def read() -> None:
            async for item in found:
                await send.send(item)

        async with send, receive, anyio.create_task_group() as tasks:
            tasks.start_soon(read)
            position = ""
            while True:
                item: Broadcasted | Gap | None = None
                with anyio.move_on_after(_HEARTBEAT_SECONDS):
                    item = await receive.receive()
                if item is None:
                    await self._write(response, f"id: {position}\n\n" if position else ": still here\n\n")
                    continue
                position = item.position.entry
                piece = await pick(item)
                if piece.text:
                    await self._write(response, piece.text)
                if piece.is_last:
                    break
            tasks.cancel_scope.cancel()

    async def _write(self, response: web.StreamResponse, text: str) -> None:
        try:
            with anyio.fail_after(self._gate.settings.idle_seconds):
                await response.write(text.encode())
        except TimeoutError as error:
            raise ConnectionAbortedError("a follower of events does not read them") from error


def _one_of(group: ExceptionGroup[Exception]) -> Exception:
    """What tasks of one stream ended with, if one of them did: a client that left is no defect of this program."""
    error: Exception = group
    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        (error,) = error.exceptions
    return error


def message(position: str, kind: str, data: object) -> str:
    """One event on the wire."""
    place = f"id: {position}\n" if position else ""
    return f"{place}event: {kind}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n"


def told(envelope: Envelope) -> dict[str, object]:
    """An event as a document."""
    origin = envelope.origin
    return {
        "id": str(envelope.id),
        "type": envelope.type,
        "schema_version": envelope.schema_version,
        "volume": envelope.volume,
        "key": envelope.key,
        "time": envelope.time,
        "actor": origin.actor,
        "cause": str(origin.cause) if origin.cause else None,
        "correlation": str(origin.correlation) if origin.correlation else None,
        "traceparent": origin.trace.parent or None,
        "body": dict(envelope.body),
    }
