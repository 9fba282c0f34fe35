"""A bus whose leases and patience are short, for tests that take its server away."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from harness.redis_server import RedisServer
from pydantic import SecretStr

from bus.conformance.words import VOLUME
from bus.contract import Bus, Lane
from bus.settings import BusSettings
from bus.streams import open_streams_bus


@asynccontextmanager
async def bus_on(server: RedisServer, node: str = "a", **more: object) -> AsyncIterator[Bus]:
    settings = BusSettings(
        **{"url": SecretStr(server.url), **more},
        lease_seconds=1.0,
        upload_lease_seconds=1.0,
        command_timeout_seconds=1.0,
    )
    async with open_streams_bus(settings, node) as bus:
        yield bus


async def take(bus: Bus) -> Lane:
    with anyio.fail_after(10):
        while (lane := await bus.lanes.acquire(VOLUME)) is None:
            await anyio.sleep(0.05)
    return lane


async def restart(server: RedisServer) -> None:
    await anyio.to_thread.run_sync(server.kill)
    await anyio.sleep(0.2)
    await anyio.to_thread.run_sync(server.start)
