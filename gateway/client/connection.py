"""The connections of the clients' port: how they end, and what is told besides of what cannot be read.

After an answer that came before its request's body was read the HTTP library waits for the rest of that. Where a
body breaks HTTP in its middle, it does not tell who reads it.

The first is a method anybody may extend. For the second, what is used of its inside is named here and nowhere else;
where a release lacks it, such a body is waited for as one that stands still.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web

from gateway.connection import Connection
from gateway.cors import Cors
from gateway.middlewares import server_name
from gateway.protocol import tus

_USED: Final = ("_messages", "_current_request")


def unreadable(cors: Cors, version: str) -> Mapping[str, str]:
    """What answers to requests say that could not be read: nobody knows whether they were of tus."""
    return {"Server": server_name(version), "Tus-Resumable": tus.VERSION, **cors.unread()}


class ClientHandler(Connection):
    """One connection."""

    __slots__ = ("_sees_breaks",)

    def __init__(
        self,
        server: web.Server,
        loop: asyncio.AbstractEventLoop,
        fields: Mapping[str, str],
        options: Mapping[str, Any],
    ) -> None:
        super().__init__(server, loop, fields, options)
        self._sees_breaks = all(hasattr(self, name) for name in _USED)

    def data_received(self, data: bytes) -> None:
        """Take what came; who reads a body that breaks HTTP is told."""
        super().data_received(data)
        if self._sees_breaks and self._messages:
            broken, request = getattr(self._messages[-1][0], "exc", None), self._current_request
            if broken is not None and request is not None and not request.content.is_eof():
                request.content.set_exception(broken)
                request.content.feed_eof()

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
