"""Outboxes on their way into the bus."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import anyio
import pytest

from bus import own_entries
from bus import relay as relay_module
from bus.conformance.words import SETTINGS, VOLUME, a_folder, an_upload
from bus.contract import Bus, Outboxes, Position
from bus.emission import Emission
from bus.memory import MemoryStore, open_memory_bus
from bus.relay import Relay, Relays
from domain.envelope import Envelope
from domain.errors import BackendUnavailableError, BusBrokenError
from domain.outbox import Mark, Place, Written

pytestmark = pytest.mark.anyio


class Box:
    """An outbox in memory; each part a list of entries, all of them ten bytes long."""

    def __init__(self) -> None:
        self.written: dict[str, list[tuple[bytes, bool]]] = {"1": []}
        self.marked = True
        self.away = False
        self.reads = 0

    def put(self, *events: Envelope, part: str = "1", again: bool = False) -> None:
        self.written[part] += [(Emission(event).encode(), again) for event in events]

    def mark(self) -> Mark | None:
        part = max(self.written)
        return (part, 10 * len(self.written[part])) if self.marked else None

    async def parts(self) -> Sequence[Mark]:
        await anyio.lowlevel.checkpoint()
        if self.away:
            raise BackendUnavailableError("away")
        return [(part, 10 * len(self.written[part])) for part in sorted(self.written)]

    async def read(self, part: str, offset: int) -> Sequence[Written]:
        await anyio.lowlevel.checkpoint()
        self.reads += 1
        entries = list(enumerate(self.written.get(part, ())))[offset // 10 :]
        return [Written(data, 10 * number + 10, again) for number, (data, again) in entries[:100]]

    async def drop(self, part: str, offset: int) -> bool:
        await anyio.lowlevel.checkpoint()
        if part == max(self.written) or offset < 10 * len(self.written[part]):
            return False
        del self.written[part]
        return True


@asynccontextmanager
async def opened(store: MemoryStore | None = None) -> AsyncIterator[Bus]:
    async with open_memory_bus(store or MemoryStore(), SETTINGS, "a") as bus:
        yield bus


def uploads(bus: Bus, count: int) -> list[Envelope]:
    return [an_upload(bus, a_folder(), size) for size in range(count)]


async def heard(bus: Bus) -> list[Envelope]:
    found = await bus.history.events(VOLUME, after=Position("0"), limit=10_000)
    return [stored.envelope for stored in found if stored.envelope is not None]


async def test_everything_is_taken_over_in_order_and_once() -> None:
    async with opened() as bus:
        box, events = Box(), uploads(bus, 300)
        relay = Relay(VOLUME, box, bus.outboxes)
        box.put(*events[:250])
        await relay.settle()
        assert await heard(bus) == events[:250]
        box.put(*events[250:])
        await relay.settle()
        assert await heard(bus) == events


async def test_what_is_settled_is_not_looked_for_again() -> None:
    async with opened() as bus:
        box = Box()
        relay = Relay(VOLUME, box, bus.outboxes)
        box.put(*uploads(bus, 1))
        await relay.settle()
        reads = box.reads
        await relay.settle()
        assert box.reads == reads
        box.marked = False
        (event,) = uploads(bus, 1)
        box.put(event)
        await relay.settle()
        assert box.reads > reads, "where it cannot be told, it is looked for"
        assert (await heard(bus))[-1] == event


async def test_who_settles_waits_for_who_is_at_it() -> None:
    async with opened() as bus:
        box, events = Box(), uploads(bus, 200)
        relay = Relay(VOLUME, box, bus.outboxes)
        box.put(*events)
        seen: list[int] = []

        async def settle() -> None:
            await relay.settle()
            seen.append(len(await heard(bus)))

        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(settle)
        assert seen == [200] * 5


async def test_several_processes_relay_the_same() -> None:
    store = MemoryStore()
    async with opened(store) as bus:
        box, events = Box(), uploads(bus, 500)
        relays = [Relay(VOLUME, box, bus.outboxes) for _ in range(4)]
        async with anyio.create_task_group() as tasks:
            for number, event in enumerate(events):
                box.put(event)
                tasks.start_soon(relays[number % 4].settle)
                if number % 7 == 0:
                    await anyio.lowlevel.checkpoint()
        assert await heard(bus) == events


async def test_parts_are_read_in_order_and_to_their_ends() -> None:
    async with opened() as bus:
        box, events = Box(), uploads(bus, 6)
        relay = Relay(VOLUME, box, bus.outboxes)
        box.put(*events[:2])
        await relay.settle()
        box.written["2"] = []
        box.put(events[3], part="2")
        box.put(events[2], part="1")
        await relay.settle()
        box.put(events[4], part="1")
        box.marked = False  # whoever wrote there then has not noticed the other part, and so looks again
        await relay.settle()
        assert await heard(bus) == events[:5]


async def test_what_the_bus_has_forgotten_is_taken_over_again() -> None:
    """A failover takes events and position back together."""
    store = MemoryStore()
    async with opened(store) as bus:
        box, events = Box(), uploads(bus, 6)
        relay = Relay(VOLUME, box, bus.outboxes)
        box.put(*events[:4])
        await relay.settle()
        del store.lanes[VOLUME].events[2:]
        store.outboxes[VOLUME, "1"] = 20
        box.put(*events[4:])
        await relay.settle()
        assert await heard(bus) == events


async def test_a_position_that_is_forgotten_makes_nothing_twice() -> None:
    store = MemoryStore()
    async with opened(store) as bus:
        box, events = Box(), uploads(bus, 6)
        box.put(*events[:4])
        await Relay(VOLUME, box, bus.outboxes).settle()
        store.outboxes.clear()
        box.put(*events[4:])
        await Relay(VOLUME, box, bus.outboxes).settle()
        assert await heard(bus) == events


async def test_what_was_written_twice_is_told_once() -> None:
    async with opened() as bus:
        box, (event, other) = Box(), uploads(bus, 2)
        box.put(event)
        box.put(event, again=True)
        box.put(other, again=True)
        await Relay(VOLUME, box, bus.outboxes).settle()
        assert await heard(bus) == [event, other]


async def test_what_nobody_can_read_is_passed_over() -> None:
    async with opened() as bus:
        box, events = Box(), uploads(bus, 2)
        box.put(events[0])
        box.written["1"] += [(b"\xc1", False), (b"nonsense", False)]
        box.put(replace(events[1], body={"no": "file"}))
        box.put(events[1])
        await Relay(VOLUME, box, bus.outboxes).settle()
        assert await heard(bus) == events


async def test_what_only_a_later_release_knows_waits_for_it_and_holds_up_nobody() -> None:
    async with opened() as bus:
        box, events = Box(), uploads(bus, 4)
        relay = Relay(VOLUME, box, bus.outboxes)
        box.put(events[0], replace(events[1], type="file.folded"), events[2])
        await relay.settle()
        assert await heard(bus) == events[:1]
        box.put(events[3])
        await relay.settle()
        assert await heard(bus) == events[:1]
        assert await bus.outboxes.position(VOLUME, "1") == 10


class Broken:
    """Positions of a bus that is away for some calls."""

    def __init__(self, inner: Outboxes, calls: int) -> None:
        self._inner = inner
        self.left = calls

    async def _call(self, name: str, *args: object) -> object:
        await anyio.lowlevel.checkpoint()
        if self.left:
            self.left -= 1
            raise BusBrokenError("away")
        return await getattr(self._inner, name)(*args)

    async def position(self, *args: object) -> object:
        return await self._call("position", *args)

    async def take(self, *args: object) -> object:
        return await self._call("take", *args)

    async def forget(self, *args: object) -> object:
        return await self._call("forget", *args)


async def test_it_is_tried_until_the_bus_and_the_storage_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay_module, "_LOOK_SECONDS", 0.02)
    async with opened() as bus:
        box, events = Box(), uploads(bus, 3)
        broken = Broken(bus.outboxes, 3)
        relays = Relays(broken, {VOLUME: box})
        box.away = True
        box.put(*events)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(relays.run)
            with pytest.raises(BackendUnavailableError):
                await relays.settle(VOLUME)
            box.away = False
            with pytest.raises(BusBrokenError):
                await relays.settle(VOLUME)
            with anyio.fail_after(5):
                while await heard(bus) != events:
                    await anyio.sleep(0.01)
            tasks.cancel_scope.cancel()
        assert broken.left == 0


async def test_what_is_written_is_taken_over_soon_and_at_the_end_all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay_module, "_LOOK_SECONDS", 1000)
    async with opened() as bus:
        box, events = Box(), uploads(bus, 2)
        relays = Relays(bus.outboxes, {VOLUME: box})
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(relays.run)
            await anyio.sleep(0.01)
            box.put(events[0])
            relays.wake(VOLUME, Place("1", 0, 10), Emission(events[0]))
            with anyio.fail_after(5):
                while not await heard(bus):
                    await anyio.sleep(0.001)
            box.put(events[1])  # nobody is woken for it
            await anyio.sleep(0.01)
            assert await heard(bus) == events[:1]
            tasks.cancel_scope.cancel()
        assert await heard(bus) == events


async def test_parts_that_are_done_with_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay_module, "_LOOK_SECONDS", 0.01)
    monkeypatch.setattr(relay_module, "_TIDY_SECONDS", 0.0)
    monkeypatch.setattr(relay_module, "_KEEP_SECONDS", 0.0)
    store = MemoryStore()
    async with opened(store) as bus:
        box, events = Box(), uploads(bus, 2)
        box.put(events[0])
        box.written["2"] = []
        box.put(events[1], part="2")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(Relay(VOLUME, box, bus.outboxes).run)
            with anyio.fail_after(5):
                while "1" in box.written:
                    await anyio.sleep(0.01)
            await anyio.sleep(0.05)
            tasks.cancel_scope.cancel()
        assert list(box.written) == ["2"]
        assert store.outboxes == {(VOLUME, "2"): 10}
        assert await heard(bus) == events


async def test_a_part_is_kept_for_a_while_after_all_of_it_was_taken_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not after it was written: where the bus was away for long, what it is told then may be forgotten again."""
    monkeypatch.setattr(relay_module, "_LOOK_SECONDS", 0.01)
    monkeypatch.setattr(relay_module, "_TIDY_SECONDS", 0.0)
    now = 1000.0
    monkeypatch.setattr(relay_module, "_now", lambda: now)
    async with opened() as bus:
        box, events = Box(), uploads(bus, 2)
        broken = Broken(bus.outboxes, 0)
        box.put(events[0])
        box.written["2"] = []
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(Relay(VOLUME, box, broken).run)
            await anyio.sleep(0.05)
            now += relay_module._KEEP_SECONDS - 1
            await anyio.sleep(0.05)
            box.put(events[1])  # by somebody who has not noticed that there is another part
            await anyio.sleep(0.05)
            now += 2
            await anyio.sleep(0.05)
            assert "1" in box.written
            now += relay_module._KEEP_SECONDS
            with anyio.fail_after(5):
                while "1" in box.written:
                    await anyio.sleep(0.01)
            tasks.cancel_scope.cancel()
        assert await heard(bus) == events


async def test_what_is_known_of_parts_ends_with_them_whoever_removes_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay_module, "_LOOK_SECONDS", 0.01)
    monkeypatch.setattr(relay_module, "_TIDY_SECONDS", 0.0)
    async with opened() as bus:
        box = Box()
        box.put(*uploads(bus, 1))
        box.written["2"] = []
        relay = Relay(VOLUME, box, bus.outboxes)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(relay.run)
            with anyio.fail_after(5):
                while "1" not in relay._ends:
                    await anyio.sleep(0.01)
                del box.written["1"]
                while relay._ends:
                    await anyio.sleep(0.01)
            tasks.cancel_scope.cancel()


async def test_who_settles_waits_for_nothing_that_is_written_meanwhile() -> None:
    async with opened() as bus:
        box, events = Box(), uploads(bus, 1000)
        relay = Relay(VOLUME, box, bus.outboxes)
        written = iter(events)
        box.put(next(written))
        read = box.read

        async def busy(part: str, offset: int) -> Sequence[Written]:
            box.put(*(next(written) for _ in range(10)))
            return await read(part, offset)

        box.read = busy  # type: ignore[method-assign]
        await relay.settle()
        assert len(box.written["1"]) < 30


async def test_who_knew_a_position_that_is_forgotten_begins_anew() -> None:
    """What was appended before is lost with it: the same relay must not go on behind that."""
    store = MemoryStore()
    async with opened(store) as bus:
        box, events = Box(), uploads(bus, 6)
        relay = Relay(VOLUME, box, bus.outboxes)
        box.put(*events[:4])
        await relay.settle()
        store.outboxes.clear()
        store.lanes[VOLUME].events.clear()
        write(relay, box, *events[4:])
        await relay.settle()
        assert await heard(bus) == events


async def test_what_only_a_later_release_knows_is_not_passed_over_among_many() -> None:
    async with opened() as bus:
        box, events = Box(), uploads(bus, 200)
        unknown = replace(events[70], type="file.folded")
        box.put(*events[:70], unknown, *events[71:])
        await Relay(VOLUME, box, bus.outboxes).settle()
        assert await heard(bus) == events[:70]


async def test_a_volume_without_an_outbox_is_always_settled() -> None:
    async with opened() as bus:
        relays = Relays(bus.outboxes, {})
        await relays.settle(VOLUME)


# --- what this process has written itself ---------------------------------------------------------------


def write(relay: Relay, box: Box, *events: Envelope, known: bool = True) -> None:
    """Write as this process does, or as others do."""
    for event in events:
        start = 10 * len(box.written["1"])
        box.put(event)
        if known:
            relay.wake(Place("1", start, start + 10), Emission(event))


async def test_what_this_process_has_written_is_not_read_again() -> None:
    async with opened() as bus:
        box, events = Box(), uploads(bus, 200)
        relay = Relay(VOLUME, box, bus.outboxes)
        write(relay, box, events[0], known=False)
        await relay.settle()
        reads = box.reads
        for first in range(1, 199, 66):
            write(relay, box, *events[first : first + 66])
            await relay.settle()
        assert box.reads == reads
        assert await heard(bus) == events[:199]


@pytest.mark.parametrize("known", [[True, False, True], [False, True, True], [True, True, False], [False] * 3])
async def test_what_others_have_written_is_read_in_its_place(known: list[bool]) -> None:
    async with opened() as bus:
        box, events = Box(), uploads(bus, 40)
        relay = Relay(VOLUME, box, bus.outboxes)
        for number, event in enumerate(events):
            write(relay, box, event, known=known[number % 3])
            if number % 7 == 6:
                await relay.settle()
        await relay.settle()
        assert await heard(bus) == events


async def test_others_may_take_over_what_this_process_has_written() -> None:
    async with opened() as bus:
        box, events = Box(), uploads(bus, 30)
        mine, other = (Relay(VOLUME, box, bus.outboxes) for _ in range(2))
        for number, event in enumerate(events):
            write(mine, box, event)
            if number % 3 == 1:
                await other.settle()
            if number % 5 == 4:
                await mine.settle()
        await mine.settle()
        assert await heard(bus) == events


async def test_what_could_not_be_taken_over_is_read() -> None:
    async with opened() as bus:
        box, events = Box(), uploads(bus, 4)
        broken = Broken(bus.outboxes, 0)
        relay = Relay(VOLUME, box, broken)
        write(relay, box, events[0])
        await relay.settle()
        broken.left = 1
        write(relay, box, *events[1:3])
        with pytest.raises(BusBrokenError):
            await relay.settle()
        write(relay, box, events[3])
        await relay.settle()
        assert await heard(bus) == events


async def test_what_is_remembered_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_entries, "_MOST", 5)
    async with opened() as bus:
        box, events = Box(), uploads(bus, 50)
        relay = Relay(VOLUME, box, bus.outboxes)
        write(relay, box, events[0])
        await relay.settle()
        write(relay, box, *events[1:40])
        assert len(relay._own._entries) == 5
        await relay.settle()
        write(relay, box, *events[40:])
        await relay.settle()
        assert await heard(bus) == events
        assert len(relay._own._entries) <= 5
