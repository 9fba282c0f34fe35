"""Trimming: what is old goes, what somebody may still need stays."""

from __future__ import annotations

import time

import anyio
import pytest
import redis

from bus.conformance.words import VOLUME, a_command, a_folder, an_upload, done, take
from bus.contract import Broadcasted, Gap, Position
from bus.observer import SilentObserver
from bus.settings import BusSettings
from bus.streams import events, keys, open_streams_bus

pytestmark = pytest.mark.anyio


class Watching(SilentObserver):
    """Remembers who was taken off the register."""

    def __init__(self) -> None:
        self.expired: list[str] = []

    def reader_expired(self, reader: str) -> None:
        self.expired.append(reader)


@pytest.fixture
def keep_nothing(bus_settings: BusSettings) -> BusSettings:
    return bus_settings.model_copy(update={"command_keep_seconds": 0.0})


@pytest.fixture
def raw(clean_redis):
    with redis.Redis.from_url(clean_redis.url) as client:
        yield client


async def test_commands_that_are_not_done_stay_however_old(keep_nothing: BusSettings, raw) -> None:
    async with open_streams_bus(keep_nothing, "a") as bus:
        sent = [a_command(bus) for _ in range(5)]
        for command in sent:
            await bus.commands.publish(command)
        assert (await bus.upkeep.trim(VOLUME)).removed == 0
        lane = await take(bus)
        deliveries = await lane.receive()
        # The first is still open, so those behind it are not done either as far as the cursor goes.
        await lane.commit([done(delivery) for delivery in deliveries[1:3]])
        assert (await bus.upkeep.trim(VOLUME)).removed == 0
        await lane.commit([done(deliveries[0])])
        assert (await bus.upkeep.trim(VOLUME)).removed == 2  # all before the cursor
        assert raw.xlen(keys.commands(VOLUME)) == 3
        await lane.release()
    async with open_streams_bus(keep_nothing, "b") as bus:
        lane = await take(bus)
        assert [delivery.envelope for delivery in await lane.receive()] == sent[3:]


async def test_done_commands_are_kept_for_a_while(bus_settings: BusSettings, raw) -> None:
    async with open_streams_bus(bus_settings, "a") as bus:
        for _ in range(3):
            await bus.commands.publish(a_command(bus))
        lane = await take(bus)
        await lane.commit([done(delivery) for delivery in await lane.receive()])
        assert (await bus.upkeep.trim(VOLUME)).removed == 0
        assert raw.xlen(keys.commands(VOLUME)) == 3


def old_events(raw: redis.Redis) -> None:
    """Three events of 1970."""
    for entry in ("1000-0", "2000-0", "3000-0"):
        raw.xadd(keys.BROADCAST, {"i": b"x", "m": b"x"}, id=entry)
        raw.xadd(keys.events(VOLUME), {"i": b"x", "m": b"x"}, id=entry)


async def test_old_events_go_and_new_ones_stay(bus_settings: BusSettings, raw) -> None:
    old_events(raw)
    async with open_streams_bus(bus_settings, "a") as bus:
        await bus.events.publish(an_upload(bus, a_folder(), 1))
        assert (await bus.upkeep.trim_broadcast()).removed == 3
        assert (await bus.upkeep.trim(VOLUME)).removed == 3
        assert raw.xlen(keys.BROADCAST) == raw.xlen(keys.events(VOLUME)) == 1


async def test_a_registered_reader_holds_back_what_it_has_not_dealt_with(bus_settings: BusSettings, raw) -> None:
    old_events(raw)
    async with open_streams_bus(bus_settings, "a") as bus, bus.events.follow("archive") as subscription:
        await subscription.save(Position("2000-0"))
        trimmed = await bus.upkeep.trim_broadcast()
        assert (trimmed.removed, trimmed.holder) == (1, "archive")
        assert [entry for entry, _ in raw.xrange(keys.BROADCAST)] == [b"2000-0", b"3000-0"]
        await subscription.save(Position(f"{int(time.time() * 1000)}-0"))
        trimmed = await bus.upkeep.trim_broadcast()
        assert (trimmed.removed, trimmed.holder) == (2, "")


async def test_a_reader_that_is_gone_for_long_is_taken_off_and_told(bus_settings: BusSettings, raw) -> None:
    old_events(raw)
    watching = Watching()
    raw.hset(keys.READERS, mapping={"gone": "1000-0", "lives": "3000-0"})
    raw.zadd(keys.READERS_SEEN, {"gone": 1000, "lives": int(time.time() * 1000)})
    async with open_streams_bus(bus_settings, "a", watching) as bus:
        trimmed = await bus.upkeep.trim_broadcast()
        assert (trimmed.removed, trimmed.holder) == (2, "lives")
    assert watching.expired == ["gone"]
    assert raw.hkeys(keys.READERS) == [b"lives"]


async def test_a_waiting_reader_shows_itself(bus_settings: BusSettings, raw) -> None:
    async with open_streams_bus(bus_settings, "a") as bus:
        async with bus.events.follow("archive") as subscription:
            await subscription.save(Position("0-1"))
        raw.zadd(keys.READERS_SEEN, {"archive": 1000})
        async with bus.events.follow("archive") as subscription:
            await bus.events.publish(an_upload(bus, a_folder(), 1))
            async for _ in subscription:
                break
        assert raw.zscore(keys.READERS_SEEN, "archive") > 1_600_000_000_000


async def test_a_reader_that_was_given_up_is_told_of_the_gap_when_it_comes_back(
    bus_settings: BusSettings, raw
) -> None:
    old_events(raw)
    raw.hset(keys.READERS, "gone", "1000-0")
    raw.zadd(keys.READERS_SEEN, {"gone": 1000})
    async with open_streams_bus(bus_settings, "a") as bus:
        await bus.upkeep.trim_broadcast()
        event = an_upload(bus, a_folder(), 1)
        async with bus.events.follow("gone") as subscription:
            assert raw.hkeys(keys.READERS) == [b"gone"], "from now on events are kept for it"
            await bus.events.publish(event)
            found = aiter(subscription)
            with anyio.fail_after(5):
                assert await anext(found) == Gap(Position("3000-0"))
                after = await anext(found)
            assert isinstance(after, Broadcasted)
            assert after.envelope == event
            await subscription.save(after.position)
        async with bus.events.follow("gone") as subscription:
            await bus.events.publish(event)
            with anyio.fail_after(5):
                assert isinstance(await anext(aiter(subscription)), Broadcasted)


async def test_who_follows_while_everything_is_lost_is_told(
    bus_settings: BusSettings, raw, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "_BLOCK_SECONDS", 0.3)
    async with open_streams_bus(bus_settings, "a") as bus, bus.events.watch() as subscription:
        found = aiter(subscription)
        await bus.events.publish(an_upload(bus, a_folder(), 1))
        with anyio.fail_after(5):
            await anext(found)
            raw.flushall()
            assert isinstance(await anext(found), Gap)
            again = an_upload(bus, a_folder(), 2)
            await bus.events.publish(again)
            told = await anext(found)
        assert isinstance(told, Broadcasted)
        assert told.envelope == again


async def test_what_a_consumer_group_has_not_dealt_with_stays(keep_nothing: BusSettings, raw) -> None:
    old_events(raw)
    raw.xgroup_create(keys.BROADCAST, "others", id="0")
    raw.xgroup_create(keys.events(VOLUME), "others", id="0")
    raw.xreadgroup("others", "me", {keys.BROADCAST: ">"}, count=2)
    raw.xack(keys.BROADCAST, "others", "1000-0")
    raw.xreadgroup("others", "me", {keys.events(VOLUME): ">"}, count=9)
    async with open_streams_bus(keep_nothing, "a") as bus:
        trimmed = await bus.upkeep.trim_broadcast()
        assert (trimmed.removed, trimmed.holder) == (1, "a consumer group")
        assert (await bus.upkeep.trim(VOLUME)).removed == 0
        raw.xack(keys.BROADCAST, "others", "2000-0")
        assert (await bus.upkeep.trim_broadcast()).removed == 0
        raw.xgroup_destroy(keys.BROADCAST, "others")
        raw.xgroup_destroy(keys.events(VOLUME), "others")
        assert (await bus.upkeep.trim_broadcast()).removed == 2
        assert (await bus.upkeep.trim(VOLUME)).removed == 3


async def test_commands_a_registered_reader_has_not_seen_stay(keep_nothing: BusSettings, raw) -> None:
    async with open_streams_bus(keep_nothing, "a") as bus:
        for _ in range(3):
            await bus.commands.publish(a_command(bus))
        lane = await take(bus)
        await lane.commit([done(delivery) for delivery in await lane.receive()])
        first = raw.xrange(keys.commands(VOLUME))[0][0]
        raw.hset(keys.command_readers(VOLUME), "archive", first)
        assert (await bus.upkeep.trim(VOLUME)).removed == 0
        raw.hdel(keys.command_readers(VOLUME), "archive")
        assert (await bus.upkeep.trim(VOLUME)).removed == 2


async def test_dead_letters_go_when_they_are_too_old_but_none_that_holds_up_its_key(
    bus_settings: BusSettings, raw
) -> None:
    raw.xadd(keys.dead_letters(VOLUME), {"i": b"0" * 16, "m": b""}, id="1000-0")
    raw.hset(keys.quarantine(VOLUME), "key", "1000-0")
    async with open_streams_bus(bus_settings, "a") as bus:
        await bus.upkeep.trim(VOLUME)
        assert raw.xlen(keys.dead_letters(VOLUME)) == 1
        raw.delete(keys.quarantine(VOLUME))
        await bus.upkeep.trim(VOLUME)
        assert raw.xlen(keys.dead_letters(VOLUME)) == 0
