"""Ports a process listens on."""

from __future__ import annotations

import asyncio
import socket
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
#: How long who asks about a process may take nothing of an answer, in seconds.
_IDLE_SECONDS: Final = 60.0
_MOST_MILLISECONDS: Final = (1 << 31) - 1


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
    idle_seconds: float = _IDLE_SECONDS,
) -> AsyncIterator[int]:
    """Serve an application; several processes may serve the same port (SO_REUSEPORT). Gives the port.

    Args:
        protocols: what makes protocols that stand before the application's server.
        idle_seconds: how long the other end of a connection may take nothing of what waits for it.
    """
    context = await anyio.to_thread.run_sync(server_context, listen)
    runner = web.AppRunner(app, **options)
    await runner.setup()
    server = runner.server
    if server is None:
        raise RuntimeError("a runner that was set up has a server")
    try:
        served = protocols(server) if protocols else server
        async with _listening(served, listen, context, idle_seconds) as number:
            yield number
    finally:
        with anyio.CancelScope(shield=True):
            await runner.cleanup()


@asynccontextmanager
async def _listening(
    protocols: Protocols, listen: Listen, context: SSLContext | None, idle_seconds: float
) -> AsyncIterator[int]:
    server = await asyncio.get_running_loop().create_server(
        protocols,
        listen.host,
        listen.port,
        reuse_port=True,
        backlog=_BACKLOG,
        ssl=context,
        start_serving=False,
    )
    try:
        for one in server.sockets:
            _cut_idle(one, idle_seconds)
        await server.start_serving()
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()  # running requests go on


def _cut_idle(listening: socket.socket, seconds: float) -> None:
    """Have the kernel break a connection whose other end takes nothing for so long (tcp(7)).

    Nobody waits for what is written in one go, and a connection that is closed stays until all of it has left. What
    is set at the socket that listens holds for those it accepts.
    """
    milliseconds = min(max(int(seconds * 1000), 1), _MOST_MILLISECONDS)
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)
