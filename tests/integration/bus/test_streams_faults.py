"""What only a real Redis does to the bus: dies, forgets scripts, loses doorbells, holds entries nobody can read."""

from __future__ import annotations

import anyio
import pytest
import redis
from harness.cutter import ANSWERED, open_cutter
from harness.redis_server import RedisServer
from harness.short_bus import bus_on, restart, take
from pydantic import SecretStr

from bus.conformance.words import VOLUME, a_command, a_folder, an_upload, done
from bus.contract import Bus, Delivery, Outcome, Verdict
from bus.settings import BusSettings
from bus.streams import keys, open_streams_bus
from domain.catalogue import Put, UsageRecord, usage_record
from domain.envelope import Failure, Reply
from domain.errors import BusBrokenError, ErrorCode, FencedError, InvalidRequestError, Retry

pytestmark = pytest.mark.anyio


async def serve(bus: Bus) -> None:
    """Answer every command, for ever; whatever happens to the lane, take it again."""
    while True:
        lane = await take(bus)
        try:
            while True:
                deliveries = await lane.receive()
                await lane.commit([done(delivery) for delivery in deliveries])
        except FencedError:
            continue


async def test_accepted_commands_outlive_the_server(server: RedisServer) -> None:
    async with bus_on(server) as bus:
        sent = [a_command(bus) for _ in range(20)]
        for command in sent:
            await bus.commands.publish(command)
        await restart(server)
        for command in sent:
            assert (await bus.commands.publish(command)).duplicate
        lane = await take(bus)
        got: list[object] = []
        with anyio.fail_after(10):
            while len(got) < 20:
                got += [delivery.envelope for delivery in await lane.receive()]
        assert got == sent


async def test_requests_and_lanes_go_on_when_the_server_comes_back(server: RedisServer) -> None:
    async with (
        bus_on(server, "manager") as manager,
        bus_on(server, "actor") as actor,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(serve, actor)
        assert (await manager.commands.request(a_command(manager), timeout_seconds=5)).ok
        waiting = a_command(manager)
        replies: list[Reply] = []

        async def ask() -> None:
            replies.append(await manager.commands.request(waiting, timeout_seconds=20))

        await anyio.to_thread.run_sync(server.kill)
        tasks.start_soon(ask)
        await anyio.sleep(0.5)
        await anyio.to_thread.run_sync(server.start)
        with anyio.fail_after(20):
            while not replies:
                await anyio.sleep(0.05)
        assert replies[0].ok
        tasks.cancel_scope.cancel()
    with redis.Redis(port=server.port) as client:
        assert client.xlen(keys.events(VOLUME)) == 2


async def test_followers_go_on_when_the_server_comes_back(server: RedisServer) -> None:
    async with bus_on(server) as bus, bus.events.follow("gateway") as subscription:
        seen: list[object] = []

        async def follow() -> None:
            async for event in subscription:
                seen.append(event.envelope.id)  # noqa: PERF401  looked at while it grows

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(follow)
            first = an_upload(bus, a_folder(), 1)
            await bus.events.publish(first)
            await restart(server)
            second = an_upload(bus, a_folder(), 2)
            with anyio.fail_after(10):
                while True:
                    try:
                        await bus.events.publish(second)
                        break
                    except BusBrokenError:
                        await anyio.sleep(0.05)
                while len(seen) < 2:
                    await anyio.sleep(0.05)
            tasks.cancel_scope.cancel()
        assert seen[:2] == [first.id, second.id]


async def test_an_event_whose_answer_was_lost_is_there_once(server: RedisServer) -> None:
    """And so is what follows from it."""
    with open_cutter(server.port) as cutter, redis.Redis(port=server.port) as client:
        async with bus_on(server, "a", url=SecretStr(f"redis://127.0.0.1:{cutter.port}/0")) as bus:
            folder = a_folder()
            usage = usage_record(folder, VOLUME)
            await bus.catalogue.apply([Put(usage, {"file_bytes": 5, "files": 1, "measured": 1.5})])
            await bus.events.publish(an_upload(bus, folder, 10))  # from now on Redis knows the script
            for number in range(2, 5):
                cutter.hold(ANSWERED)
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(bus.events.publish, an_upload(bus, folder, 10))
                    with anyio.fail_after(10):
                        while client.xlen(keys.events(VOLUME)) < number:
                            await anyio.sleep(0.01)
                    cutter.lead_to(server.port)
                    cutter.hold()
            (fields,) = await bus.catalogue.fields([usage])
            assert fields is not None
            assert UsageRecord.parse(fields) == UsageRecord(45, 5, 1.5)
        assert client.xlen(keys.events(VOLUME)) == client.xlen(keys.BROADCAST) == 4


async def test_a_signal_may_have_been_rung_while_nobody_could_hear_it(server: RedisServer) -> None:
    async with bus_on(server) as bus:
        with anyio.move_on_after(0.2) as scope:
            await bus.signals.wait("x")
        assert scope.cancelled_caught
        await restart(server)
        with anyio.fail_after(10):
            await bus.signals.wait("x")


async def test_a_server_that_is_away_is_told_at_once(server: RedisServer) -> None:
    async with bus_on(server) as bus:
        await anyio.to_thread.run_sync(server.kill)
        for call in (
            bus.commands.publish(a_command(bus)),
            bus.lanes.acquire(VOLUME),
            bus.members.view(),
            bus.records.load("upload:1"),
            bus.catalogue.page("index:folders", limit=1),
            bus.events.publish(an_upload(bus, a_folder(), 1)),
        ):
            with anyio.fail_after(10), pytest.raises(BusBrokenError):
                await call


async def test_a_bus_needs_its_server_at_the_start(server: RedisServer) -> None:
    server.kill()
    with pytest.raises(BusBrokenError):
        async with bus_on(server):
            pass


@pytest.mark.parametrize("url", ["http://x", "redis", ""])
async def test_a_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(InvalidRequestError):
        async with open_streams_bus(BusSettings(url=SecretStr(url)), "a"):
            pass


async def test_scripts_are_sent_again_when_the_server_forgot_them(server: RedisServer) -> None:
    async with bus_on(server) as bus:
        await bus.commands.publish(a_command(bus))
        lane = await take(bus)
        with redis.Redis(port=server.port) as client:
            client.script_flush()
        await bus.commands.publish(a_command(bus))
        with redis.Redis(port=server.port) as client:
            client.script_flush()
        deliveries = await lane.receive()
        await lane.commit([done(delivery) for delivery in deliveries])


async def test_a_reply_comes_without_its_doorbell(server: RedisServer) -> None:
    async with bus_on(server, "manager") as manager, bus_on(server, "actor") as actor:
        lane = await take(actor)
        async with anyio.create_task_group() as tasks:
            replies: list[Reply] = []

            async def ask() -> None:
                replies.append(await manager.commands.request(a_command(manager), timeout_seconds=10))

            tasks.start_soon(ask)
            (delivery,) = await lane.receive()
            with redis.Redis(port=server.port) as client:
                client.client_kill_filter(_type="pubsub")
            await lane.commit([done(delivery)])
        assert replies[0].ok


async def test_readers_go_on_when_everything_was_flushed(server: RedisServer) -> None:
    async with bus_on(server) as bus:
        lane = await take(bus)
        server.flush()
        with pytest.raises(FencedError):
            with anyio.fail_after(5):
                await lane.receive()
        lane = await take(bus)
        await bus.commands.publish(a_command(bus))
        with anyio.fail_after(5):
            (delivery,) = await lane.receive()
        await lane.commit([done(delivery)])


async def test_entries_nobody_can_read_are_delivered_as_such_and_set_aside(server: RedisServer) -> None:
    async with bus_on(server) as bus:
        with redis.Redis(port=server.port) as client:
            client.xadd(keys.commands(VOLUME), {"i": b"0" * 16, "m": b"garbage"})
            client.xadd(keys.commands(VOLUME), {"other": b"fields"})
        good = a_command(bus)
        await bus.commands.publish(good)
        lane = await take(bus)
        deliveries = list(await lane.receive())
        assert [delivery.envelope for delivery in deliveries] == [None, None, good]
        assert all(delivery.fault for delivery in deliveries[:2])
        failure = Failure(ErrorCode.MALFORMED_EVENT, Retry.NEVER, "x")
        dead = [
            Outcome(delivery, Verdict.DEAD, Reply(delivery.id, failure), reason="unreadable")
            for delivery in deliveries[:2]
        ]
        await lane.commit([*dead, done(deliveries[2])])
        with redis.Redis(port=server.port) as client:
            letters = client.xrange(keys.dead_letters(VOLUME))
            assert [fields[b"m"] for _, fields in letters] == [b"garbage", b""]
            assert {fields[b"why"] for _, fields in letters} == {b"unreadable"}


async def test_a_commit_sent_twice_counts_once(server: RedisServer) -> None:
    async with bus_on(server) as bus:
        await bus.commands.publish(a_command(bus))
        lane = await take(bus)
        (delivery,) = await lane.receive()
        await lane.commit([done(delivery)])
        await lane.commit([done(delivery)])
    with redis.Redis(port=server.port) as client:
        assert client.xlen(keys.events(VOLUME)) == 1
        assert client.hget(keys.lane(VOLUME), "ack") == b"1"


async def test_a_commit_that_comes_late_moves_nothing_back(server: RedisServer) -> None:
    async with bus_on(server) as bus:
        for _ in range(3):
            await bus.commands.publish(a_command(bus))
        lane = await take(bus)
        first, second, third = await lane.receive()
        await lane.commit([done(first), done(second), done(third)])
        await lane.commit([done(first)])
    with redis.Redis(port=server.port) as client:
        assert client.hget(keys.lane(VOLUME), "cursor") == third.entry.encode()


async def test_only_what_was_committed_before_a_kill_is_not_delivered_again(server: RedisServer) -> None:
    async with bus_on(server, "a") as one:
        sent = [a_command(one) for _ in range(4)]
        for command in sent:
            await one.commands.publish(command)
        lane = await take(one)
        deliveries = await lane.receive()
        await lane.commit([done(deliveries[1]), done(deliveries[3])])
    async with bus_on(server, "b") as two:
        again = await (await take(two)).receive()
        assert [delivery.id for delivery in again] == [sent[0].id, sent[2].id]


async def test_an_idle_bus_asks_little(server: RedisServer) -> None:
    async with bus_on(server) as bus:
        lane = await take(bus)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lane.receive)
            await anyio.sleep(0.5)
            with redis.Redis(port=server.port) as client:
                before = client.info("stats")["total_commands_processed"]
                await anyio.sleep(2)
                asked = client.info("stats")["total_commands_processed"] - before
            tasks.cancel_scope.cancel()
        # Renewals every quarter of a second, each a script of a few commands; nothing polls.
        assert asked < 100


async def test_a_lane_whose_record_was_lost_does_nothing_twice(server: RedisServer) -> None:
    async with bus_on(server) as bus:
        sent = [a_command(bus) for _ in range(3)]
        for command in sent:
            await bus.commands.publish(command)
        lane = await take(bus)
        deliveries: list[Delivery] = []
        with anyio.fail_after(10):
            while len(deliveries) < 3:
                deliveries += await lane.receive()
        await lane.commit([done(delivery) for delivery in deliveries[:2]])
        with redis.Redis(port=server.port) as client:
            client.delete(keys.lane(VOLUME))
        again = await take(bus)
        with anyio.fail_after(10):
            (last,) = await again.receive()
        assert last.id == sent[2].id
        await again.commit([done(last)])
        await bus.upkeep.trim(VOLUME)
        assert (await bus.inspection.lane(VOLUME)).waiting == 0
