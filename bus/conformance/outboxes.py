"""Events that are taken over from outboxes."""

from __future__ import annotations

import math
from dataclasses import replace

from bus.conformance.opening import OpensBus
from bus.conformance.words import VOLUME, a_folder, an_upload, read
from bus.contract import FIRST_REVISION, Bus, Emitted, Position, Record
from bus.emission import Emission, EmittedRecord
from domain.catalogue import Index, Unindex
from domain.envelope import Envelope

_PART = "000000000001-aa"


def _emitted(*events: Envelope, again: bool = False) -> list[Emitted]:
    return [Emitted(Emission(event), again) for event in events]


class Outboxes(OpensBus):
    """Events that are taken over from outboxes."""

    async def test_events_are_taken_over_once_and_in_order(self) -> None:
        async with self.open_bus("a") as bus, bus.events.follow("gateway") as subscription:
            events = [an_upload(bus, a_folder(), size) for size in range(4)]
            assert await bus.outboxes.position(VOLUME, _PART) is None
            assert await bus.outboxes.take(VOLUME, _PART, 0, 20, _emitted(*events[:2])) == 20
            assert await bus.outboxes.position(VOLUME, _PART) == 20
            # Somebody else has read the same, and one of them more of it.
            for end in (20, 40):
                assert await bus.outboxes.take(VOLUME, _PART, 0, end, _emitted(*events)) == 20
            assert await bus.outboxes.take(VOLUME, _PART, 20, 40, _emitted(*events[2:])) == 40
            assert await bus.outboxes.take(VOLUME, _PART, 20, 40, _emitted(*events[2:])) == 40
            last = an_upload(bus, a_folder(), 9)
            await bus.events.publish(last)
            assert await read(subscription, 5) == [*events, last]

    async def test_what_nobody_can_read_is_passed_over(self) -> None:
        async with self.open_bus("a") as bus, bus.events.follow("gateway") as subscription:
            event = an_upload(bus, a_folder(), 1)
            taken = [Emitted(None), *_emitted(event), Emitted(None)]
            assert await bus.outboxes.take(VOLUME, _PART, 0, 30, taken) == 30
            assert await bus.outboxes.take(VOLUME, _PART, 30, 40, [Emitted(None)]) == 40
            assert await read(subscription, 1) == [event]

    async def test_where_the_position_is_forgotten_only_what_is_missing_is_appended(self) -> None:
        async with self.open_bus("a") as bus, bus.events.follow("gateway") as subscription:
            events = [an_upload(bus, a_folder(), size) for size in range(3)]
            await bus.outboxes.take(VOLUME, _PART, 0, 20, _emitted(*events[:2]))
            await bus.outboxes.forget(VOLUME, _PART)
            assert await bus.outboxes.position(VOLUME, _PART) is None
            assert await bus.outboxes.take(VOLUME, _PART, 0, 30, _emitted(*events)) == 30
            assert await read(subscription, 3) == events
            assert await self._count(bus) == 3

    async def test_what_may_have_been_written_twice_is_appended_once(self) -> None:
        async with self.open_bus("a") as bus, bus.events.follow("gateway") as subscription:
            first, second = (an_upload(bus, a_folder(), size) for size in range(2))
            await bus.outboxes.take(VOLUME, _PART, 0, 10, _emitted(first))
            taken = _emitted(replace(first, time=first.time + 1), second, again=True)
            assert await bus.outboxes.take(VOLUME, _PART, 10, 30, taken) == 30
            assert await read(subscription, 2) == [first, second]
            assert await self._count(bus) == 2

    async def test_what_is_written_down_twice_in_one_go_is_appended_once(self) -> None:
        async with self.open_bus("a") as bus, bus.events.follow("gateway") as subscription:
            first, second = (an_upload(bus, a_folder(), size) for size in range(2))
            taken = [*_emitted(first, again=True), *_emitted(second), *_emitted(second, first, again=True)]
            assert await bus.outboxes.take(VOLUME, _PART, 0, 40, taken) == 40
            assert await read(subscription, 2) == [first, second]
            assert await self._count(bus) == 2

    async def test_what_follows_from_an_event_is_one_step_with_it(self) -> None:
        async with self.open_bus("a") as bus:
            folder = a_folder()
            event = an_upload(bus, folder, 5)
            record = EmittedRecord("upload:1", {"n": 1}, 60)
            for start in (0, 5, 0):
                await bus.outboxes.take(VOLUME, _PART, start, 10, [Emitted(Emission(event, record))])
            found = await bus.records.load("upload:1")
            assert found is not None
            assert (found.document, found.revision) == ({"n": 1}, FIRST_REVISION)
            assert await bus.records.replace("upload:1", {"n": 2}, revision=1, keep_seconds=60, due=None)
            # Written down a second time by somebody who knew of the first as little.
            await bus.outboxes.take(VOLUME, _PART, 10, 20, [Emitted(Emission(event, record))])
            assert await bus.records.load("upload:1") == Record({"n": 2}, 2)
            assert await self._count(bus) == 1

    async def test_a_record_is_changed_in_one_step_with_its_event(self) -> None:
        async with self.open_bus("a") as bus:
            counted = [Index("index:mine", "upload:1"), Index("index:mine", "upload:2")]
            await bus.records.create("upload:1", {"n": 1}, keep_seconds=60, due=bus.clock.now(), changes=counted)
            event = an_upload(bus, a_folder(), 5)
            changes = (Unindex("index:mine", "upload:1"),)
            told = Emitted(Emission(event, EmittedRecord("upload:1", {"n": 2}, 60, 1, changes)))
            for start in (0, 5, 0):
                await bus.outboxes.take(VOLUME, _PART, start, 10, [told])
            assert await bus.records.load("upload:1") == Record({"n": 2}, 2)
            assert await bus.records.due("upload", before=math.inf, limit=10) == []
            assert await bus.catalogue.page("index:mine", limit=10) == ["upload:2"]
            assert await self._count(bus) == 1
            # Written down a second time by somebody who knew of the first as little as of its record.
            await bus.catalogue.apply([Index("index:mine", "upload:1")])
            late = EmittedRecord("upload:1", {"n": 3}, 60, 1, changes)
            await bus.outboxes.take(VOLUME, _PART, 10, 20, [Emitted(Emission(event, late))])
            assert await bus.records.load("upload:1") == Record({"n": 2}, 2)
            assert await bus.catalogue.count("index:mine") == 2
            assert await self._count(bus) == 1

    async def test_a_record_others_have_changed_is_what_its_event_tells(self) -> None:
        """Dropped, lost and made anew, or made, while it was written down: what is told of has happened."""
        async with self.open_bus("a") as bus:
            await bus.records.create("upload:1", {"n": 1}, keep_seconds=60, due=bus.clock.now())
            await bus.records.replace("upload:1", {"n": 0}, revision=1, keep_seconds=60, due=bus.clock.now())
            await bus.records.create("upload:3", {"n": 1}, keep_seconds=60, due=bus.clock.now())
            at = 0
            for name, known, revision in (("upload:1", 1, 3), ("upload:2", 1, 1), ("upload:3", 0, 2)):
                emission = Emission(an_upload(bus, a_folder(), 5), EmittedRecord(name, {"n": 2}, 60, known))
                assert await bus.outboxes.take(VOLUME, _PART, at, at + 10, [Emitted(emission)]) == at + 10
                assert await bus.records.load(name) == Record({"n": 2}, revision)
                at += 10
            assert await bus.records.due("upload", before=math.inf, limit=10) == []
            assert await self._count(bus) == 3

    @staticmethod
    async def _count(bus: Bus) -> int:
        """How many events there are."""
        return len(await bus.history.events(VOLUME, after=Position("0"), limit=100))
