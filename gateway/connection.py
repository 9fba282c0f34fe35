"""Connections of both ports: what is answered to what cannot be read as HTTP.

The HTTP library answers that by itself, before there is a request that could be handed to anybody, and logs each
one with a traceback. Anybody may send such things as often as he likes, so here they are one line for who looks for
it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final

from aiohttp import web
from aiohttp.http_exceptions import InvalidURLError
from aiohttp.web_protocol import RequestHandler
from loguru import logger

from gateway.middlewares import server_name
from gateway.unreadable import unreadable

#: Options that are the server's, and not the connections'.
_SERVERS: Final = ("handler_cancellation", "shutdown_timeout")


class Connection(RequestHandler):
    """One connection.

    Args:
        fields: header fields of answers to what cannot be read.
        options: as the library takes them.
    """

    __slots__ = ("_fields",)

    def __init__(
        self,
        server: web.Server,
        loop: asyncio.AbstractEventLoop,
        fields: Mapping[str, str],
        options: Mapping[str, Any],
    ) -> None:
        super().__init__(server, loop=loop, **options)
        self._fields = fields

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what the library could not read by a problem document; defects are the library's, as ever."""
        if status >= 500 and not _is_unknown_expectation(request, exc):
            answer = super().handle_error(request, status, exc, message)
        else:
            # Neither what was sent nor the library's words are logged: there may be a token in them.
            logger.debug("a request of {} cannot be read: {}", request.remote, type(exc).__name__)
            answer = unreadable("its URL is none" if isinstance(exc, InvalidURLError) else message)
        answer.headers.update(self._fields)
        return answer


def manager_connections(
    version: str, options: Mapping[str, Any]
) -> Callable[[web.Server], Callable[[], asyncio.BaseProtocol]]:
    """Makes protocols of the manager's port.

    Args:
        options: how the server was told to run.
    """
    known = of_connections(options)
    fields = {"Server": server_name(version)}

    def protocols(server: web.Server) -> Callable[[], asyncio.BaseProtocol]:
        loop = asyncio.get_running_loop()
        return lambda: Connection(server, loop, fields, known)

    return protocols


def of_connections(options: Mapping[str, Any]) -> dict[str, Any]:
    """Those of a server's options that its connections take."""
    return {name: value for name, value in options.items() if name not in _SERVERS}


def _is_unknown_expectation(request: web.BaseRequest, exc: BaseException | None) -> bool:
    """Whether the library failed to repeat what is no text; no route was asked before that."""
    return isinstance(exc, UnicodeEncodeError) and not request.headers.get("Expect", "").isascii()
