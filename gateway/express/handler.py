"""aiohttp's connection handler, but for the simplest downloads, which are answered before it wakes up.

A range of some KiB costs an HTTP library far more than the bytes do: a parser, a task, a request, middlewares, a
response, a writer, and a thread for the file, each of them worth having for other requests. What needs none of
that and lies in the page cache is answered where it arrives, in one call. Whatever is not exactly of that kind goes
the ordinary way, which gives the same answers.

aiohttp has no public way to do this. What is used of its inside is named here and nowhere else; where a release
lacks it, everything goes the ordinary way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final

from aiohttp import web
from aiohttp.web_protocol import RequestHandler
from loguru import logger

from gateway.client.connection import ClientHandler, unreadable
from gateway.cors import Cors
from gateway.express.downloads import ExpressDownloads
from gateway.express.head import SimpleHead, read_simple_head
from gateway.gate import Gate

#: Options that are the server's, and not the connections'.
_SERVERS: Final = ("handler_cancellation", "shutdown_timeout")
_USED: Final = ("_waiter", "_messages", "_next_keepalive_close_time", "_keepalive_timeout", "_loop", "_close")

#: Makes the protocol of a new connection.
Protocols = Callable[[], asyncio.BaseProtocol]


def express(gate: Gate, options: Mapping[str, Any]) -> Callable[[web.Server], Protocols]:
    """Makes protocols of the clients' port that answer what they can, and leave the rest to the server.

    Args:
        options: how the server was told to run.
    """

    def protocols(server: web.Server) -> Protocols:
        loop = asyncio.get_running_loop()
        known = {name: value for name, value in options.items() if name not in _SERVERS}
        fields = unreadable(Cors(gate.settings.allow_origins), gate.version)
        downloads = ExpressDownloads.offered(gate)
        if downloads is None or not all(hasattr(RequestHandler, name) for name in _USED):
            return lambda: ClientHandler(server, loop, fields, known)
        return lambda: ExpressHandler(server, loop, fields, known, downloads)

    return protocols


class ExpressHandler(ClientHandler):
    """One connection."""

    __slots__ = ("_downloads", "_is_simple")

    def __init__(
        self,
        server: web.Server,
        loop: asyncio.AbstractEventLoop,
        fields: Mapping[str, str],
        options: Mapping[str, Any],
        downloads: ExpressDownloads,
    ) -> None:
        super().__init__(server, loop, fields, options)
        self._downloads = downloads
        #: Whether all that came so far were whole heads without a body: then the library waits for none.
        self._is_simple = True

    def data_received(self, data: bytes) -> None:
        """Answer, or hand over."""
        if not (self._is_simple and self._answered(data)):
            super().data_received(data)

    def _answered(self, data: bytes) -> bool:
        head = read_simple_head(data)
        if head is None:
            self._is_simple = False
            return False
        if not self._is_idle() or not self._tried(head):
            return False
        self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
        return True

    def _tried(self, head: SimpleHead) -> bool:
        try:
            return self._downloads.answer(head, self.transport)
        except Exception:  # noqa: BLE001  a defect here is no reason not to be answered
            logger.exception("GET {} failed by a defect", head.target.partition("?")[0])
            return False

    def _is_idle(self) -> bool:
        """Whether the library has answered everything it was handed."""
        return self._waiter is not None and not self._waiter.done() and not self._messages and not self._close
