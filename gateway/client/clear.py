"""Requests of uploads of which it is not clear what they say are refused before anybody else sees them."""

from __future__ import annotations

from functools import wraps
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.client.tus_answers import expect, refusal
from gateway.protocol import tus
from gateway.protocol.tus import Dialect

#: Methods that do something, which has to be done in a version of tus that is spoken here.
_VERSIONED: Final = ("POST", "PATCH", "DELETE")


def of_tus(dialect: Dialect, *routes: web.RouteDef) -> list[web.RouteDef]:
    """Routes of tus, as they are served: clear requests only, whose bodies are asked for when they are wanted."""
    return [
        web.RouteDef(
            route.method,
            route.path,
            _clear(route.handler, dialect if route.method in _VERSIONED else None),
            {**route.kwargs, "expect_handler": expect},
        )
        for route in routes
    ]


def clear(handler: Handler) -> Handler:
    """A handler that is given clear requests only."""
    return _clear(handler, None)


def _clear(handler: Handler, dialect: Dialect | None) -> Handler:
    @wraps(handler)
    async def judged(request: web.Request) -> web.StreamResponse:
        refused = None if dialect is None else tus.check_version(request.headers, dialect)
        refused = refused or tus.check_framing(request.headers)
        return await handler(request) if refused is None else refusal(refused)

    return judged
