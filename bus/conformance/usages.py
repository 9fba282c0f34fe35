"""What folders are said to use, whatever happens while they are counted."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, replace
from functools import partial

import anyio

from bus.conformance.opening import OpensBus
from bus.conformance.words import SCOPE, VOLUME, a_command, a_folder, a_removal, an_upload, done, take
from bus.contract import Bus
from bus.usage import ScopeUsage, usage_marks
from domain.catalogue import Need, Put, UsageRecord, usage_record
from domain.envelope import Envelope, wrap_event
from domain.errors import NotFoundError, Subject
from domain.events import FileMoved, UsageMeasured
from domain.ids import VFolderId
from domain.usage import Usage

#: Bytes and files of a folder, and what happens just before the count of it ends.
Step = tuple[int, int, Callable[[], Awaitable[None]]]


async def nothing() -> None:
    """Let nothing happen."""


class Counting:
    """A folder of which each count tells what was prepared; the last one ever after."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self._steps = list(steps)
        self.counts = 0

    async def count(self, _folder: VFolderId) -> Usage:
        """Count, and let happen what happens meanwhile."""
        size, files, happen = self._steps[min(self.counts, len(self._steps) - 1)]
        self.counts += 1
        await happen()
        return Usage(entries=files, files=files, file_bytes=size)


class Usages(OpensBus):
    """What folders use."""

    async def test_usage_follows_uploads_once_it_was_counted(self) -> None:
        async with self.open_bus("a") as bus:
            folder = a_folder()
            record = usage_record(folder, VOLUME)
            await bus.events.publish(an_upload(bus, folder, 10))
            assert await bus.catalogue.fields([record]) == [None]
            await bus.catalogue.apply([Put(record, {"file_bytes": 5, "files": 1, "measured": 1.5})])
            await bus.events.publish(an_upload(bus, folder, 10))
            assert await told(bus, folder) == UsageRecord(15, 2, 1.5)

    async def test_what_comes_in_while_a_folder_is_counted_is_in_it(self) -> None:
        """Whether the count has met it or not: then it is in it twice, until it is counted again."""
        for met in (0, 7):
            async with self.open_bus("a") as bus:
                folder = a_folder()
                came = partial(publish, bus, an_upload(bus, folder, 7))
                counting = Counting([(30 + met, 3 + bool(met), came), (37, 4, nothing)])
                usage = usage_of(bus, counting)
                assert await usage.folder_bytes(folder) == 37 + met
                known = await told(bus, folder)
                assert (known.file_bytes, known.files) == (37 + met, 4 + bool(met))
                assert known.again is not None
                await anyio.sleep(max(0.0, known.again - bus.clock.now()) + 0.01)
                assert await usage.folder_bytes(folder, Need.BOUND) == 37 + met
                assert await usage.folder_bytes(folder) == 37
                known = await told(bus, folder)
                assert (known.file_bytes, known.files, known.again) == (37, 4, None)
                assert counting.counts == 2

    async def test_what_was_told_just_before_is_not_in_it_twice(self) -> None:
        """By somebody else, on the volume: the bus has it only once that is asked for."""
        async with self.open_bus("a") as bus:
            folder = a_folder()
            waiting = [an_upload(bus, folder, 7)]

            async def settle() -> None:
                while waiting:
                    await bus.events.publish(waiting.pop())

            usage = usage_of(bus, Counting([(37, 4, nothing)]), settle=settle)
            assert await usage.folder_bytes(folder) == 37

            async def came() -> None:
                waiting.append(an_upload(bus, folder, 5))

            usage = usage_of(bus, Counting([(42, 5, came)]), settle=settle, max_age_seconds=-1)
            assert await usage.folder_bytes(folder) == 47
            known = await told(bus, folder)
            assert known.again is not None

    async def test_a_folder_that_loses_something_meanwhile_is_counted_once_more(self) -> None:
        async with self.open_bus("a") as bus:
            folder = a_folder()
            moved = FileMoved(volume=VOLUME, folder=folder, source="a", destination="b")
            events = [
                a_removal(bus, folder),
                wrap_event(moved, id=bus.clock.new_id(), time=bus.clock.now()),
            ]
            steps: list[Step] = [(30, 3, partial(publish, bus, event)) for event in events]
            counting = Counting([*steps, (20, 2, nothing)])
            assert await usage_of(bus, counting).folder_bytes(folder) == 20
            known = await told(bus, folder)
            assert (known.file_bytes, known.files, known.again) == (20, 2, None)
            assert counting.counts == 3

    async def test_a_count_that_was_overtaken_is_not_recorded(self) -> None:
        async with self.open_bus("a") as bus:
            folder = a_folder()
            assert await usage_of(bus, Counting([(30, 3, nothing)])).folder_bytes(folder) == 30
            before = await usage_marks(bus.catalogue, usage_record(folder, VOLUME))
            await bus.events.publish(a_removal(bus, folder))
            for since, size in ((before, 30), (replace(before, changes=before.changes + 1), 20)):
                counted = UsageMeasured(
                    volume=VOLUME,
                    folder=folder,
                    entries=2,
                    files=2,
                    file_bytes=20,
                    logical_bytes=20,
                    allocated_bytes=20,
                    **asdict(since),
                )
                await bus.events.publish(wrap_event(counted, id=bus.clock.new_id(), time=bus.clock.now()))
                assert (await told(bus, folder)).file_bytes == size

    async def test_a_folder_that_never_stands_still_is_told_of_all_the_same(self) -> None:
        async with self.open_bus("a") as bus:
            folder = a_folder()

            async def changed() -> None:
                await bus.events.publish(a_removal(bus, folder))
                await bus.events.publish(an_upload(bus, folder, 1))

            counting = Counting([(30, 3, changed)])
            usage = usage_of(bus, counting)
            assert await usage.folder_bytes(folder) == 31
            assert counting.counts == 3
            assert await usage.folder_bytes(folder, Need.BOUND) == 31
            assert counting.counts == 3
            await usage.folder_bytes(folder)
            assert counting.counts == 6

    async def test_a_folder_something_was_removed_from_holds_no_more_than_before(self) -> None:
        async with self.open_bus("a") as bus:
            folder = a_folder()
            counting = Counting([(30, 3, nothing), (20, 2, nothing)])
            usage = usage_of(bus, counting)
            assert await usage.folder_bytes(folder) == 30
            await bus.events.publish(a_removal(bus, folder))
            assert await usage.folder_bytes(folder, Need.BOUND) == 30
            assert counting.counts == 1
            assert await usage.folder_bytes(folder) == 20
            assert counting.counts == 2

    async def test_whoever_has_to_be_certain_has_it_counted(self) -> None:
        """Not again and again, though: counting takes a small part of the time at most."""
        async with self.open_bus("a") as bus:
            folder = a_folder()
            counting = Counting([(30, 3, partial(anyio.sleep, 0.05)), (20, 2, partial(anyio.sleep, 0.05))])
            usage = usage_of(bus, counting)
            assert await usage.folder_bytes(folder) == 30
            (fields,) = await bus.catalogue.fields([usage_record(folder, VOLUME)])
            assert fields is not None
            await bus.catalogue.apply(
                [Put(usage_record(folder, VOLUME), {"measured": float(fields["measured"]) - 9})]
            )
            assert await usage.folder_bytes(folder) == 30
            assert await usage.folder_bytes(folder, Need.CERTAIN) == 20
            assert await usage.folder_bytes(folder, Need.CERTAIN) == 20
            assert counting.counts == 2

    async def test_a_folder_is_counted_once_for_all_who_ask_meanwhile(self) -> None:
        async with self.open_bus("a") as bus:
            folder = a_folder()
            counting = Counting([(30, 3, partial(anyio.sleep, 0.2))])
            # Each count is too old for anybody, but for those who have waited for it.
            usage, found = usage_of(bus, counting, max_age_seconds=-1), list[int]()

            async def ask() -> None:
                found.append(await usage.folder_bytes(folder))

            async with anyio.create_task_group() as tasks:
                for _ in range(20):
                    tasks.start_soon(ask)
            assert found == [30] * 20
            assert counting.counts <= 2

    async def test_a_folder_that_is_gone_uses_nothing(self) -> None:
        async with self.open_bus("a") as bus:

            async def gone() -> None:
                raise NotFoundError("it is not there", subject=Subject.VFOLDER)

            usage, folder = usage_of(bus, Counting([(30, 3, gone)])), a_folder()
            assert await usage.folder_bytes(folder) == 0
            assert await bus.catalogue.fields([usage_record(folder, VOLUME)]) == [None]

    async def test_all_folders_of_a_scope_are_summed_up(self) -> None:
        async with self.open_bus("a") as bus:
            for _ in range(3):
                await bus.commands.publish(a_command(bus))
            lane = await take(bus)
            await lane.commit([done(delivery) for delivery in await lane.receive()])
            counting = Counting([(30, 3, nothing)])
            usage = usage_of(bus, counting)
            assert await usage.used_bytes(SCOPE) == 0
            assert await usage.used_bytes(SCOPE, Need.CERTAIN) == 90
            assert counting.counts == 3

    async def test_a_count_keeps_all_its_digits(self) -> None:
        async with self.open_bus("a") as bus:
            folder, much = a_folder(), 8_000_000_000_000_001
            came = partial(publish, bus, an_upload(bus, folder, much))
            assert await usage_of(bus, Counting([(1, 1, came)])).folder_bytes(folder) == much + 1


def usage_of(
    bus: Bus,
    counting: Counting,
    *,
    settle: Callable[[], Awaitable[None]] = nothing,
    max_age_seconds: float = 60,
) -> ScopeUsage:
    """Usage as it is counted so."""
    return ScopeUsage(bus.catalogue, bus.clock, VOLUME, counting.count, max_age_seconds, settle)


async def publish(bus: Bus, event: Envelope) -> None:
    """Have an event happen, as a new one each time."""
    await bus.events.publish(replace(event, id=bus.clock.new_id()))


async def told(bus: Bus, folder: VFolderId) -> UsageRecord:
    """What the catalogue tells of a folder."""
    (fields,) = await bus.catalogue.fields([usage_record(folder, VOLUME)])
    known = UsageRecord.parse(fields or {})
    assert known is not None
    return known
