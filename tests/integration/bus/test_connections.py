"""Connections to a real Redis, on each of the event loops that roles run on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
import redis
from harness.redis_server import RedisServer, debian_redis
from pydantic import SecretStr

from bus.observer import SilentObserver
from bus.settings import BusSettings
from bus.streams.connection import Connections
from bus.streams.link import Link
from domain.errors import BusBrokenError

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    return "asyncio", {"use_uvloop": request.param == "uvloop"}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    own = RedisServer(debian_redis(), tmp_path)
    own.start()
    yield own
    own.stop()


def connections(server: RedisServer) -> Connections:
    return Connections(BusSettings(url=SecretStr(server.url), command_timeout_seconds=1.0))


def cut_all(server: RedisServer) -> None:
    """Have the server close every connection but the one that asks for it."""
    with redis.Redis.from_url(server.url) as client:
        client.client_kill_filter(_type="normal", skipme=True)


async def test_a_command_on_a_connection_that_was_closed_before_is_told_of_it(server: RedisServer) -> None:
    async with connections(server).blocking(1) as conversation:
        assert await conversation.ask("PING") == b"PONG"
        cut_all(server)
        await anyio.sleep(0.1)  # the loop has dealt with the end of the connection
        with pytest.raises(BusBrokenError, match="closed"):
            await conversation.ask("PING")


async def test_commands_that_meet_the_end_of_the_connection_are_repeated(server: RedisServer) -> None:
    link = Link(connections(server), SilentObserver())
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(link.run)
        for _ in range(20):
            cut_all(server)
            for _ in range(10):
                assert await link.execute("PING") == b"PONG"
        tasks.cancel_scope.cancel()
