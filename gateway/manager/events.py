"""`GET /events`: what happens, as Server-Sent Events (WHATWG HTML, section 9.2), for whoever does not speak Redis.

Each event carries its position as `id`; a client that reconnects sends the last one as `Last-Event-ID` and goes on
behind it. Where events between are gone, it gets `event: gap` first and has to look everything up anew. While
nothing happens the position is sent alone, so that a client with a narrow filter does not fall behind.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Final

import anyio
from aiohttp import web

from bus.contract import Broadcasted, Gap, Position
from bus.filters import Filter
from domain.envelope import Envelope
from domain.errors import BusyError
from domain.ids import VFolderId
from gateway.gate import Gate
from gateway.parameters import Parameters, read_query

#: How long a connection is silent at most, in seconds.
_HEARTBEAT_SECONDS: Final = 15.0
#: What a client is told to wait before it reconnects, in milliseconds.
_RETRY_MS: Final = 2000
_HEADERS: Final = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",
}


class EventParameters(Parameters):
    """Which events are wanted, and from where on."""

    #: Types, separated by commas; `*` stands for any characters.
    types: str = ""
    volume: str = ""
    folder: VFolderId | None = None
    #: As the header `Last-Event-ID`, for the first connection.
    after: str = ""

    def filter(self) -> Filter:
        """As the bus understands it."""
        types = tuple(name.strip() for name in self.types.split(",") if name.strip())
        return Filter(types=types, volume=self.volume, key=str(self.folder or ""))


class EventRoutes:
    """`/events`."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._streams = 0

    def routes(self) -> list[web.RouteDef]:
        """What this serves."""
        return [web.get("/events", self.events, allow_head=False)]

    async def events(self, request: web.Request) -> web.StreamResponse:
        """Stream events until the client leaves or the gateway stops."""
        parameters = read_query(request, EventParameters)
        told = request.headers.get("Last-Event-ID", "") or parameters.after
        after = Position.parse(told) if told else None
        if self._streams >= self._gate.settings.event_streams:
            raise BusyError("too many follow the events on this gateway", retry_after_seconds=5.0)
        self._streams += 1
        try:
            return await self._stream(request, parameters.filter(), after)
        finally:
            self._streams -= 1

    async def _stream(self, request: web.Request, wanted: Filter, after: Position | None) -> web.StreamResponse:
        response = web.StreamResponse(headers=_HEADERS)
        async with self._gate.bus.events.watch(after) as subscription:
            await response.prepare(request)
            await self._write(response, f"retry: {_RETRY_MS}\n\n")
            found = aiter(subscription)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._until_stop, tasks.cancel_scope)
                await self._send_all(response, found, wanted)
        return response

    async def _until_stop(self, everything: anyio.CancelScope) -> None:
        await self._gate.stopping.wait()
        everything.cancel()

    async def _send_all(
        self, response: web.StreamResponse, found: AsyncIterator[Broadcasted | Gap], wanted: Filter
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
                if isinstance(item, Gap):
                    await self._write(response, _message(position, "gap", {}))
                elif wanted.matches(item.envelope):
                    await self._write(response, _message(position, item.envelope.type, _told(item.envelope)))

    async def _write(self, response: web.StreamResponse, text: str) -> None:
        try:
            with anyio.fail_after(self._gate.settings.idle_seconds):
                await response.write(text.encode())
        except TimeoutError as error:
            raise ConnectionAbortedError("a follower of events does not read them") from error


def _message(position: str, kind: str, data: object) -> str:
    return f"id: {position}\nevent: {kind}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n"


def _told(envelope: Envelope) -> dict[str, object]:
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
