"""Events that are taken over from outboxes."""

from __future__ import annotations

from dataclasses import replace

from bus.conformance.opening import OpensBus
from bus.conformance.words import VOLUME, a_folder, an_upload, read
from bus.contract import FIRST_REVISION, Bus, Emitted, Position
from bus.emission import Emission, NewRecord
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

    async def test_what_follows_from_an_event_is_one_step_with_it(self) -> None:
        async with self.open_bus("a") as bus:
            folder = a_folder()
            event = an_upload(bus, folder, 5)
            record = NewRecord("upload:1", {"n": 1}, 60)
            for start in (0, 5, 0):
                await bus.outboxes.take(VOLUME, _PART, start, 10, [Emitted(Emission(event, record))])
            found = await bus.records.load("upload:1")
            assert found is not None
            assert (found.document, found.revision) == ({"n": 1}, FIRST_REVISION)
            assert await bus.records.replace("upload:1", {"n": 2}, revision=1, keep_seconds=60, due=None)
            other = Emission(an_upload(bus, folder, 5), record)
            await bus.outboxes.take(VOLUME, _PART, 10, 20, [Emitted(other)])
            changed = await bus.records.load("upload:1")
            assert changed is not None
            assert changed.document == {"n": 2}, "a record that is there stays as it is"

    @staticmethod
    async def _count(bus: Bus) -> int:
        """How many events there are."""
        return len(await bus.history.events(VOLUME, after=Position("0"), limit=100))
