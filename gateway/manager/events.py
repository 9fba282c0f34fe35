"""`GET /events`: what happens, as Server-Sent Events (WHATWG HTML, section 9.2), for whoever does not speak Redis.

Each event carries its position as `id`; a client that reconnects sends the last one as `Last-Event-ID` and goes on
behind it. Where events between are gone, it gets `event: gap` first and has to look everything up anew. While
nothing happens the position is sent alone, so that a client with a narrow filter does not fall behind.
"""

from __future__ import annotations

from typing import Final

from aiohttp import web

from bus.contract import Broadcasted, Gap, Position
from bus.filters import Filter
from domain.ids import VFolderId
from gateway.gate import Gate
from gateway.manager.following import Following, Piece, message, told
from gateway.parameters import Parameters, read_query

_LAST: Final = "Last-Event-ID"


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

    def __init__(self, gate: Gate, following: Following) -> None:
        self._gate = gate
        self._following = following

    def routes(self) -> list[web.RouteDef]:
        """What this serves."""
        return [web.get("/events", self.events, allow_head=False)]

    async def events(self, request: web.Request) -> web.StreamResponse:
        """Stream events until the client leaves or the gateway stops."""
        parameters = read_query(request, EventParameters)
        wanted = parameters.filter()
        after = None
        if last := request.headers.get(_LAST, ""):
            after = Position.parse(last, _LAST)
        elif parameters.after:
            after = Position.parse(parameters.after, "after")

        async def pick(item: Broadcasted | Gap) -> Piece:
            if isinstance(item, Gap):
                return Piece(message(item.position.entry, "gap", {}))
            if not wanted.matches(item.envelope):
                return Piece()
            return Piece(message(item.position.entry, item.envelope.type, told(item.envelope)))

        return await self._following.stream(request, pick, after=after)
