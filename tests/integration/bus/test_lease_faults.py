"""Leases whose server is away, and that others have had meanwhile."""

from __future__ import annotations

import anyio
import pytest
import redis
from harness.redis_server import RedisServer
from harness.short_bus import bus_on, take

from bus.streams import keys, leases
from domain.errors import BusBrokenError, FencedError

pytestmark = pytest.mark.anyio


async def test_a_lease_is_not_trusted_when_the_server_is_away(server: RedisServer) -> None:
    async with bus_on(server) as bus:
        lane = await take(bus)
        await lane.confirm()
        await anyio.to_thread.run_sync(server.kill)
        await anyio.sleep(1.0)
        with anyio.move_on_after(0.3) as waited:
            await lane.confirm()
        assert waited.cancelled_caught
        await anyio.to_thread.run_sync(server.start)
        with anyio.fail_after(5):
            await lane.confirm()


async def test_a_lease_that_ran_out_stays_with_its_holder_if_nobody_else_has_had_it(server: RedisServer) -> None:
    async with bus_on(server) as bus, bus.leases.hold("x", wait_seconds=1) as lease:
        await anyio.to_thread.run_sync(server.kill)
        await anyio.sleep(1.5)
        await anyio.to_thread.run_sync(server.start)
        with anyio.fail_after(5):
            await lease.confirm()
        assert await bus.leases.held(["x"]) == [True]


async def test_who_has_a_lease_is_not_waited_for_without_end(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "_UNKNOWN_SECONDS", 0.2)
    async with bus_on(server) as bus, bus.leases.hold("x", wait_seconds=1) as lease:
        await lease.confirm()
        await anyio.to_thread.run_sync(server.kill)
        await anyio.sleep(1.0)
        with pytest.raises(BusBrokenError), anyio.fail_after(5):
            await lease.confirm()
        await anyio.to_thread.run_sync(server.start)


@pytest.mark.parametrize("forgotten", [False, True])
async def test_a_lease_that_somebody_else_may_have_had_meanwhile_is_lost(
    server: RedisServer, *, forgotten: bool
) -> None:
    """It is free again, but what it stood for has been in other hands."""
    async with bus_on(server, "a") as one, bus_on(server, "b") as two:
        async with one.leases.hold("x", wait_seconds=1) as lease:
            with redis.Redis(port=server.port) as client:
                client.delete(keys.lease("x"))
                if forgotten:
                    client.delete(keys.lease_taken("x"))
                else:
                    async with two.leases.hold("x", wait_seconds=1):
                        pass
            with anyio.fail_after(5):
                await lease.wait_lost()
            with pytest.raises(FencedError):
                await lease.confirm()
        assert await two.leases.held(["x"]) == [False]
