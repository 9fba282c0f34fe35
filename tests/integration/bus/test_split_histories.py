"""A replica that lacks the last entries is made primary, and gets others in their place: none is passed over."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from harness.cutter import Cutter
from harness.fault.servers import Servers, servers
from harness.processes import until
from harness.redis_server import SERVERS
from pydantic import SecretStr

from bus.conformance.words import VOLUME, a_command, a_folder, an_upload, done
from bus.contract import Bus, Delivery, Gap, Lane
from bus.settings import BusSettings
from bus.streams import open_streams_bus
from domain.errors import FencedError

pytestmark = pytest.mark.anyio


@pytest.fixture(params=list(SERVERS))
def pair(request: pytest.FixtureRequest, tmp_path: Path):
    """A primary and its replica."""
    with servers(SERVERS[request.param](), tmp_path, stepping=False, pair=True) as found:
        yield found


@asynccontextmanager
async def bus_on(port: int, node: str, lease_seconds: float = 60) -> AsyncIterator[Bus]:
    # A lease longer than the test: nothing is found out by renewing, unless that is the question.
    settings = BusSettings(url=SecretStr(f"redis://127.0.0.1:{port}/0"), lease_seconds=lease_seconds)
    async with open_streams_bus(settings, node) as bus:
        yield bus


async def taken(bus: Bus) -> Lane:
    """The lane, which nobody else has."""
    lane = await bus.lanes.acquire(VOLUME)
    assert lane is not None
    return lane


async def in_hand(bus: Bus, count: int) -> tuple[Lane, list[Delivery]]:
    """The lane, and so many commands of it that are not done."""
    commands = [a_command(bus) for _ in range(count)]
    for command in commands:
        await bus.commands.publish(command)
    lane = await taken(bus)
    found = await received(lane, count)
    assert [delivery.id for delivery in found] == [command.id for command in commands]
    return lane, found


async def received(lane: Lane, count: int) -> list[Delivery]:
    found: list[Delivery] = []
    with anyio.fail_after(10):
        while len(found) < count:
            found += await lane.receive()
    return found


def split(pair: Servers) -> tuple[int, int]:
    """Two primaries that know the same, to begin with."""
    until(pair.in_step, "the replica has everything")
    return pair.split()


async def move(front: Cutter, port: int) -> None:
    """Have everybody who comes by this way find the other one."""
    front.lead_to(port)
    await anyio.sleep(0.5)


async def test_commands_of_the_new_primary_are_all_done(pair: Servers) -> None:
    async with bus_on(pair.front.port, "actor") as bus:
        lane, (common,) = await in_hand(bus, 1)
        mine, other = await anyio.to_thread.run_sync(split, pair)
        async with bus_on(other, "theirs") as theirs, bus_on(mine, "ours") as ours:
            only_theirs, only_ours = a_command(theirs), a_command(ours)
            await theirs.commands.publish(only_theirs)
            await ours.commands.publish(only_ours)
            (late,) = await received(lane, 1)
            assert late.id == only_ours.id
            await move(pair.front, other)
            with pytest.raises(FencedError):
                await lane.commit([done(late)])
            again = await taken(bus)
            deliveries = await received(again, 2)
            assert [delivery.id for delivery in deliveries] == [common.id, only_theirs.id]
            await again.commit([done(delivery) for delivery in deliveries])
            assert (await theirs.inspection.lane(VOLUME)).waiting == 0


async def test_what_the_new_primary_does_not_know_to_be_done_is_not_passed_over(pair: Servers) -> None:
    async with bus_on(pair.front.port, "actor") as bus:
        lane, (early, late) = await in_hand(bus, 2)
        _, other = await anyio.to_thread.run_sync(split, pair)
        await lane.commit([done(late)])
        await move(pair.front, other)
        with pytest.raises(FencedError):
            await lane.commit([done(early)])
        again = await taken(bus)
        deliveries = await received(again, 2)
        assert [delivery.id for delivery in deliveries] == [early.id, late.id]
        await again.commit([done(delivery) for delivery in deliveries])
        assert (await bus.inspection.lane(VOLUME)).waiting == 0


async def test_what_came_later_is_not_told_before_what_the_new_primary_forgot(pair: Servers) -> None:
    async with bus_on(pair.front.port, "actor") as bus:
        lane, (first, second) = await in_hand(bus, 2)
        _, other = await anyio.to_thread.run_sync(split, pair)
        await lane.commit([done(first)])
        await move(pair.front, other)
        with pytest.raises(FencedError):
            await lane.commit([done(second)])
        async with bus_on(other, "theirs") as theirs:
            assert (await theirs.inspection.lane(VOLUME)).waiting == 2


async def test_an_owner_with_nothing_to_do_finds_out_that_a_commit_was_forgotten(pair: Servers) -> None:
    async with bus_on(pair.front.port, "actor", lease_seconds=4) as bus:
        lane, (_, second) = await in_hand(bus, 2)
        _, other = await anyio.to_thread.run_sync(split, pair)
        await lane.commit([done(second)])  # the cursor stays before the first one: it does not tell
        await move(pair.front, other)
        with anyio.fail_after(10), pytest.raises(FencedError):
            await lane.receive()


async def test_who_follows_is_told_that_events_may_be_missing(pair: Servers) -> None:
    async with bus_on(pair.front.port, "reader") as bus, bus.events.watch() as subscription:
        events = aiter(subscription)
        mine, other = await anyio.to_thread.run_sync(split, pair)
        async with bus_on(other, "theirs") as theirs, bus_on(mine, "ours") as ours:
            await theirs.events.publish(an_upload(theirs, a_folder(), 1))
            await ours.events.publish(first := an_upload(ours, a_folder(), 1))
            assert (await anext(events)).envelope.id == first.id
            await move(pair.front, other)
            await theirs.events.publish(last := an_upload(theirs, a_folder(), 1))
            with anyio.fail_after(15):
                assert isinstance(await anext(events), Gap)
                assert (await anext(events)).envelope.id == last.id
