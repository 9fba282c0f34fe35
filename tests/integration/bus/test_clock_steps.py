"""Redis's clock is set forward and back while members work: who died is not waited for, who lives goes on."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from harness.cutter import BOTH, open_cutter
from harness.faketime import FakeClock
from harness.redis_server import SERVERS, RedisServer
from pydantic import SecretStr

from bus.conformance.words import VOLUME, a_command, done
from bus.contract import Bus, Lane
from bus.settings import BusSettings
from bus.streams import open_streams_bus
from domain.errors import FencedError

pytestmark = pytest.mark.anyio

HOUR = 3600.0
LEASE_SECONDS = 0.5
#: Within what time somebody else comes to what a dead one held, in seconds: what is promised, twice.
SOON = 4 * LEASE_SECONDS
#: Debian's server has an allocator that does not go with a clock of our own.
KINDS = [name for name in SERVERS if name != "redis"]


@pytest.fixture(params=KINDS)
def stepped(request: pytest.FixtureRequest, tmp_path: Path):
    """A server and its clock."""
    clock = FakeClock(tmp_path / "clock")
    server = RedisServer(SERVERS[request.param](), tmp_path, clock)
    server.start()
    yield server, clock
    server.stop()


@asynccontextmanager
async def bus_on(port: int, node: str) -> AsyncIterator[Bus]:
    settings = BusSettings(
        url=SecretStr(f"redis://127.0.0.1:{port}/0"),
        lease_seconds=LEASE_SECONDS,
        upload_lease_seconds=LEASE_SECONDS,
        command_timeout_seconds=1.0,
    )
    async with open_streams_bus(settings, node) as bus:
        yield bus


async def taken(bus: Bus) -> Lane:
    with anyio.fail_after(SOON):
        while (lane := await bus.lanes.acquire(VOLUME)) is None:
            await anyio.sleep(0.02)
    return lane


async def test_who_died_before_the_clock_went_back_is_not_waited_for(
    stepped: tuple[RedisServer, FakeClock],
) -> None:
    server, clock = stepped
    with open_cutter(server.port) as cutter:
        async with bus_on(server.port, "alive") as alive, bus_on(cutter.port, "dead") as dead:
            assert await dead.lanes.acquire(VOLUME) is not None
            async with dead.members.join(frozenset({VOLUME})), dead.leases.hold("upload", wait_seconds=1):
                await dead.members.view()
                cutter.hold(*BOTH)  # nothing is heard of it any more
                clock.step(-HOUR)
                lane = await taken(alive)
                assert lane.epoch == 2
                async with alive.leases.hold("upload", wait_seconds=SOON):
                    pass
                with anyio.fail_after(SOON):
                    while await alive.members.view():
                        await anyio.sleep(0.02)


@pytest.mark.parametrize("seconds", [HOUR, -HOUR])
async def test_who_lives_goes_on(stepped: tuple[RedisServer, FakeClock], seconds: float) -> None:
    server, clock = stepped
    async with (
        bus_on(server.port, "a") as bus,
        bus_on(server.port, "b") as other,
        bus.members.join(frozenset({VOLUME})),
        other.members.join(frozenset({VOLUME})),
    ):
        before = await bus.commands.publish(a_command(bus))
        lane = await taken(bus)
        clock.step(seconds)
        after = await bus.commands.publish(a_command(bus))
        assert _place(before.entry) < _place(after.entry)
        got = 0
        with anyio.fail_after(5):
            while got < 2:
                try:
                    deliveries = await lane.receive()
                    await lane.commit([done(delivery) for delivery in deliveries])
                    got += len(deliveries)
                except FencedError:
                    lane = await taken(bus)
        await anyio.sleep(2 * LEASE_SECONDS)
        with anyio.fail_after(SOON):
            while [member.node for member in await bus.members.view()] != ["a", "b"]:
                await anyio.sleep(0.02)
        with anyio.fail_after(5):
            while abs(bus.clock.now() - time.time() - seconds) > 1:
                await anyio.sleep(0.02)


def _place(entry: str) -> tuple[int, ...]:
    return tuple(map(int, entry.split("-")))
