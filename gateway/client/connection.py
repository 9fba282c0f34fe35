"""The connections of the clients' port: how they end, and what is answered to what cannot be read.

The HTTP library answers what is no HTTP by itself, before there is a request that could be handed to anybody. After
an answer that came before its request's body was read it waits for the rest of that. Where a body breaks HTTP in
its middle, it does not tell who reads it.

The first two are methods anybody may extend. For the third, what is used of its inside is named here and nowhere
else; where a release lacks it, such a body is waited for as one that stands still.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from gateway.cors import Cors
from gateway.middlewares import server_name
from gateway.protocol import tus

_USED: Final = ("_messages", "_current_request")


def unreadable(cors: Cors, version: str) -> Mapping[str, str]:
    """What answers to requests say that could not be read: nobody knows whether they were of tus."""
    return {"Server": server_name(version), "Tus-Resumable": tus.VERSION, **cors.unread()}


class ClientHandler(RequestHandler):
    """One connection.

    Args:
        fields: header fields of answers to what cannot be read.
        options: as the library takes them.
    """

    __slots__ = ("_fields", "_sees_breaks")

    def __init__(
        self,
        server: web.Server,
        loop: asyncio.AbstractEventLoop,
        fields: Mapping[str, str],
        options: Mapping[str, Any],
    ) -> None:
        super().__init__(server, loop=loop, **options)
        self._fields = fields
        self._sees_breaks = all(hasattr(self, name) for name in _USED)

    def data_received(self, data: bytes) -> None:
        """Take what came; who reads a body that breaks HTTP is told."""
        super().data_received(data)
        if self._sees_breaks and self._messages:
            broken, request = getattr(self._messages[-1][0], "exc", None), self._current_request
            if broken is not None and request is not None and not request.content.is_eof():
                request.content.set_exception(broken)
                request.content.feed_eof()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what the library could not read, so that tus clients and pages can read the answer."""
        answer = super().handle_error(request, status, exc, message)
        answer.headers.update(self._fields)
        return answer

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send an answer; behind one that ends the connection nothing comes, and its reader learns that at once.

        What the sender still sends is read for a while, or its system would throw the answer away unread.
        """
        answer, is_reset = await super().finish_response(request, resp, start_time)
        transport = self.transport
        is_last = not is_reset and not answer.keep_alive and not request.content.is_eof()
        if is_last and transport is not None and transport.can_write_eof():
            transport.write_eof()
        return answer, is_reset
