"""Where a process listens."""

from __future__ import annotations

import aiohttp
import pytest
from aiohttp import web

from gateway.settings import Listen
from ops.roles.ports import port

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
async def test_a_port_the_system_chose_is_told(host: str) -> None:
    async def hello(request: web.Request) -> web.Response:
        return web.Response(text="hello")

    app = web.Application()
    app.add_routes([web.get("/", hello)])
    async with port(app, Listen(host=host, port=0), {}) as number, aiohttp.ClientSession() as session:
        assert number > 0
        async with session.get(f"http://127.0.0.1:{number}/") as answer:
            assert await answer.text() == "hello"
