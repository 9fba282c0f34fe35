"""Ports a process listens on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from ssl import SSLContext
from typing import TYPE_CHECKING, Any, Final

import anyio
from aiohttp import web

from gateway.settings import Listen
from ops.health import HealthRoutes
from ops.roles.parts import Parts
from ops.tls import server_context

if TYPE_CHECKING:  # the gateway's own, which other roles do not import
    from gateway.express.handler import Protocols

#: Connections that may wait to be accepted on each port.
_BACKLOG: Final = 1024


@asynccontextmanager
async def internal_port(parts: Parts, listen: Listen) -> AsyncIterator[HealthRoutes]:
    """Answer about this process, which says when it is serving."""
    routes = HealthRoutes(parts.registry, parts.health, parts.turn.serves)
    async with port(routes.app(), listen, {"access_log": None}):
        yield routes


@asynccontextmanager
async def port(
    app: web.Application,
    listen: Listen,
    options: Mapping[str, Any],
    protocols: Callable[[web.Server], Protocols] | None = None,
) -> AsyncIterator[None]:
    """Serve an application; several processes may serve the same port (SO_REUSEPORT).

    Args:
        protocols: what makes protocols that stand before the application's server.
    """
    context = await anyio.to_thread.run_sync(server_context, listen)
    runner = web.AppRunner(app, **options)
    await runner.setup()
    server = runner.server
    if server is None:
        raise RuntimeError("a runner that was set up has a server")
    try:
        async with _listening(protocols(server) if protocols else server, listen, context):
            yield
    finally:
        with anyio.CancelScope(shield=True):
            await runner.cleanup()


@asynccontextmanager
async def _listening(protocols: Protocols, listen: Listen, context: SSLContext | None) -> AsyncIterator[None]:
    server = await asyncio.get_running_loop().create_server(
        protocols, listen.host, listen.port, reuse_port=True, backlog=_BACKLOG, ssl=context
    )
    try:
        yield
    finally:
        server.close()  # running requests go on
