"""What every bus does, as tests."""

from __future__ import annotations

import math
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from uuid import uuid4

import anyio
import pytest

from bus.conformance.words import SCOPE, VOLUME, a_command, a_folder, an_upload, done
from bus.contract import (
    FIRST_REVISION,
    Broadcasted,
    Bus,
    Delivery,
    Gap,
    Lane,
    Member,
    Outcome,
    Position,
    Subscription,
    Verdict,
)
from bus.memo import Memo
from bus.settings import BusSettings
from domain.catalogue import (
    ALL_FOLDERS,
    FolderRecord,
    Index,
    Put,
    Unindex,
    UsageRecord,
    folder_member,
    folder_record,
    owner_index,
    usage_record,
    volume_index,
)
from domain.envelope import Envelope, Failure, Reply
from domain.errors import (
    BusyError,
    ConflictError,
    DeadlineExceededError,
    ErrorCode,
    FencedError,
    InvalidRequestError,
    Retry,
)
from domain.ids import VolumeName

pytestmark = pytest.mark.anyio

#: Short leases, a small window and a short queue, so that the suite is quick.
SETTINGS = BusSettings(lease_seconds=0.4, upload_lease_seconds=0.4, queue_limit=40, window=8, batch=4)


def a_dead_letter(delivery: Delivery) -> Outcome:
    """The outcome of something that can never be handled."""
    failure = Failure(ErrorCode.MALFORMED_EVENT, Retry.NEVER, "no such thing")
    return Outcome(delivery, Verdict.DEAD, Reply(delivery.id, failure), reason="poison")


def a_memo(command: Envelope) -> Memo:
    """What an owner wrote down of a command that took effect."""
    outcome = done(Delivery("0-0", command.id, command), made="restored")
    return Memo(outcome.reply, outcome.events, command.time)


async def take(bus: Bus, volume: VolumeName = VOLUME) -> Lane:
    """Own a lane, waiting for it."""
    with anyio.fail_after(10):
        while (lane := await bus.lanes.acquire(volume)) is None:
            await bus.members.wait_change(0.02)
    return lane


async def live(seconds: float) -> bool:
    """Let time pass; tells whether this process had a share of it, as one that keeps a lease has to."""
    end, longest = anyio.current_time() + seconds, SETTINGS.lease_seconds / 4
    while (now := anyio.current_time()) < end:
        await anyio.sleep(0.01)
        if anyio.current_time() - now > longest:
            return False
    return True


async def receive(lane: Lane, count: int) -> list[Delivery]:
    """So many deliveries, waiting for them."""
    found: list[Delivery] = []
    with anyio.fail_after(10):
        while len(found) < count:
            found += await lane.receive()
    return found


class BusConformance:
    """Subclass it and give `open_bus`."""

    def open_bus(self, node: str, settings: BusSettings = SETTINGS) -> AbstractAsyncContextManager[Bus]:
        """A bus of a new member; all of one test share the same store."""
        raise NotImplementedError

    # --- commands -------------------------------------------------------------------------------

    async def test_commands_arrive_in_the_order_they_were_accepted(self) -> None:
        async with self.open_bus("a") as bus:
            sent = [a_command(bus) for _ in range(5)]
            for command in sent:
                await bus.commands.publish(command)
            lane = await take(bus)
            got = await lane.receive()
            assert [delivery.envelope for delivery in got] == sent

    async def test_a_command_is_accepted_once_however_often_it_is_sent(self) -> None:
        async with self.open_bus("a") as bus:
            command = a_command(bus)
            first = await bus.commands.publish(command)
            again = await bus.commands.publish(command)
            assert (first.duplicate, again.duplicate) == (False, True)
            assert first.entry == again.entry
            lane = await take(bus)
            assert len(await lane.receive()) == 1

    async def test_a_full_queue_refuses_and_takes_more_when_some_were_done(self) -> None:
        async with self.open_bus("a") as bus:
            for _ in range(SETTINGS.queue_limit):
                await bus.commands.publish(a_command(bus))
            refused = a_command(bus)
            with pytest.raises(BusyError) as caught:
                await bus.commands.publish(refused)
            assert caught.value.retry_after_seconds > 0
            lane = await take(bus)
            await lane.commit([done(delivery) for delivery in await lane.receive()])
            assert not (await bus.commands.publish(refused)).duplicate

    async def test_an_id_that_is_no_uuid7_is_refused(self) -> None:
        async with self.open_bus("a") as bus:
            with pytest.raises(InvalidRequestError):
                await bus.commands.publish(replace(a_command(bus), id=uuid4()))

    async def test_an_envelope_beyond_the_limit_is_refused(self) -> None:
        async with self.open_bus("a") as bus:
            huge = replace(a_command(bus), body={"x": "y" * SETTINGS.max_envelope_bytes})
            with pytest.raises(InvalidRequestError):
                await bus.commands.publish(huge)

    # --- lanes ----------------------------------------------------------------------------------

    async def test_one_owner_at_a_time(self) -> None:
        async with self.open_bus("a") as one, self.open_bus("b") as two:
            await take(one)
            assert await two.lanes.acquire(VOLUME) is None

    async def test_a_lane_stays_with_an_owner_that_lives(self) -> None:
        lives = False
        while not lives:
            async with self.open_bus("a") as one, self.open_bus("b") as two:
                lane = await take(one)
                lives = await live(SETTINGS.lease_seconds * 2)
                if lives:
                    assert await two.lanes.acquire(VOLUME) is None
                    await lane.confirm()

    async def test_a_released_lane_can_be_taken_at_once_with_a_higher_epoch(self) -> None:
        async with self.open_bus("a") as one, self.open_bus("b") as two:
            lane = await take(one)
            await lane.release()
            with pytest.raises(FencedError):
                await lane.confirm()
            next_lane = await two.lanes.acquire(VOLUME)
            assert next_lane is not None
            assert next_lane.epoch > lane.epoch

    async def test_the_lane_of_a_dead_owner_moves_on(self) -> None:
        async with self.open_bus("b") as two:
            async with self.open_bus("a") as one:
                first = await take(one)
            second = await take(two)
            assert second.epoch > first.epoch

    async def test_the_epoch_stays_above_what_the_volume_remembers(self) -> None:
        async with self.open_bus("a") as bus:
            lane = await bus.lanes.acquire(VOLUME, min_epoch=41)
            assert lane is not None
            assert lane.epoch == 42

    async def test_an_owner_that_lost_its_lane_commits_nothing(self) -> None:
        async with self.open_bus("a") as one:
            await one.commands.publish(a_command(one))
            old = await take(one)
            deliveries = await old.receive()
            new = await take(one)
            with pytest.raises(FencedError):
                await old.commit([done(delivery) for delivery in deliveries])
            assert len(await new.receive()) == 1

    async def test_only_what_was_lost_is_restored(self) -> None:
        async with self.open_bus("a") as bus, bus.events.follow("x") as subscription:
            lane = await take(bus)
            known, lost = a_command(bus), a_command(bus)
            await bus.commands.publish(known)
            (delivery,) = await lane.receive()
            await lane.commit([done(delivery, made="first")])
            memos = [a_memo(command) for command in (known, lost)]
            assert await lane.restore([*memos, memos[-1]]) == 1
            assert await lane.restore(memos) == 0
            ids = [memo.events[0].id for memo in memos]
            assert [event.id for event in await self._read(subscription, 2)] == ids
            assert (await bus.commands.request(lost, timeout_seconds=5)).result == {"made": "restored"}
            assert (await bus.commands.request(known, timeout_seconds=5)).result == {"made": "first"}

    # --- what was set aside ----------------------------------------------------------------------

    async def test_a_dead_letter_keeps_what_is_known_of_it(self) -> None:
        async with self.open_bus("a") as bus:
            lane = await take(bus)
            command = a_command(bus)
            await bus.commands.publish(command)
            (delivery,) = await lane.receive()
            await lane.commit([replace(a_dead_letter(delivery), attempts=3)])
            (letter,) = await bus.dead_letters.page(VOLUME, limit=10)
            assert (letter.id, letter.envelope, letter.reason) == (command.id, command, "poison")
            assert (letter.attempts, letter.epoch, letter.original) == (3, lane.epoch, delivery.original)
            assert abs(letter.time - bus.clock.now()) < 5
            assert await bus.dead_letters.page(VOLUME, after=letter.letter, limit=10) == []

    async def test_a_redriven_command_is_delivered_again_and_may_get_another_answer(self) -> None:
        async with self.open_bus("a") as bus:
            lane = await take(bus)
            command = a_command(bus)
            await bus.commands.publish(command)
            (delivery,) = await lane.receive()
            await lane.commit([replace(a_dead_letter(delivery), attempts=3)])
            assert not (await bus.commands.request(command, timeout_seconds=5)).ok
            (letter,) = await bus.dead_letters.page(VOLUME, limit=10)
            assert await bus.dead_letters.redrive(letter)
            assert not await bus.dead_letters.redrive(letter)
            assert await bus.dead_letters.page(VOLUME, limit=10) == []
            (again,) = await lane.receive()
            assert again.envelope == replace(command, attempt=3)
            await lane.commit([done(again)])
            assert (await bus.commands.request(command, timeout_seconds=5)).ok

    async def test_a_dead_letter_can_be_dropped_or_replaced(self) -> None:
        async with self.open_bus("a") as bus:
            lane = await take(bus)
            for _ in range(2):
                await bus.commands.publish(a_command(bus))
            await lane.commit([a_dead_letter(delivery) for delivery in await receive(lane, 2)])
            first, second = await bus.dead_letters.page(VOLUME, limit=10)
            assert await bus.dead_letters.skip(first)
            better = a_command(bus)
            assert await bus.dead_letters.replace(second, better)
            assert [delivery.envelope for delivery in await receive(lane, 1)] == [better]
            assert (await bus.inspection.lane(VOLUME)).waiting == 1

    async def test_commands_of_a_quarantined_key_wait_in_order_until_it_is_dealt_with(self) -> None:
        async with self.open_bus("a") as bus:
            lane = await take(bus)
            folder = a_folder()
            sent = [a_command(bus, folder) for _ in range(4)]
            for command in sent:
                await bus.commands.publish(command)
            first, *behind = await receive(lane, 4)
            poison = replace(a_dead_letter(first), verdict=Verdict.QUARANTINED)
            parked = [Outcome(delivery, Verdict.PARKED, Reply(delivery.id)) for delivery in behind]
            await lane.commit([poison, parked[0]])
            await lane.commit(parked[1:])
            assert await lane.quarantined() == {str(folder)}
            assert (await bus.inspection.lane(VOLUME)).waiting == 3
            assert (await bus.commands.publish(sent[1])).duplicate
            (letter,) = await bus.dead_letters.page(VOLUME, limit=10)
            assert await bus.dead_letters.redrive(letter)
            assert await lane.quarantined() == frozenset()
            freed = await receive(lane, 4)
            assert [delivery.id for delivery in freed] == [command.id for command in sent]
            await lane.commit([done(delivery) for delivery in freed])
            assert (await bus.inspection.lane(VOLUME)).waiting == 0

    async def test_a_command_that_comes_to_be_parked_too_late_is_delivered_again(self) -> None:
        async with self.open_bus("a") as bus:
            lane = await take(bus)
            folder = a_folder()
            sent = [a_command(bus, folder) for _ in range(2)]
            for command in sent:
                await bus.commands.publish(command)
            first, behind = await receive(lane, 2)
            await lane.commit([replace(a_dead_letter(first), verdict=Verdict.QUARANTINED)])
            (letter,) = await bus.dead_letters.page(VOLUME, limit=10)
            assert await bus.dead_letters.redrive(letter)
            await lane.commit([Outcome(behind, Verdict.PARKED, Reply(behind.id))])
            freed = await receive(lane, 2)
            assert [delivery.id for delivery in freed] == [command.id for command in sent]
            await lane.commit([done(delivery) for delivery in freed])
            assert (await bus.inspection.lane(VOLUME)).waiting == 0

    async def test_too_many_dead_letters_stop_producers(self) -> None:
        settings = SETTINGS.model_copy(update={"dead_letter_limit": 2})
        async with self.open_bus("a", settings) as bus:
            lane = await take(bus)
            for _ in range(2):
                await bus.commands.publish(a_command(bus))
            await lane.commit([a_dead_letter(delivery) for delivery in await receive(lane, 2)])
            with pytest.raises(BusyError, match="dead letters"):
                await bus.commands.publish(a_command(bus))
            (letter, _) = await bus.dead_letters.page(VOLUME, limit=10)
            await bus.dead_letters.skip(letter)
            await bus.commands.publish(a_command(bus))

    # --- owners that die --------------------------------------------------------------------------

    async def test_an_owner_is_told_how_many_died_before_it_and_over_what(self) -> None:
        async with self.open_bus("watcher") as bus:
            for _ in range(2):
                await bus.commands.publish(a_command(bus))
            for crashes in range(4):
                async with self.open_bus(f"owner{crashes}") as owner:
                    lane = await take(owner)
                    first, second = await receive(lane, 2)
                    marks = {first.entry: crashes - 1, second.entry: 1} if crashes > 1 else {}
                    assert (lane.crashes, dict(lane.suspects)) == (crashes, marks)
                    if crashes:
                        await lane.mark_suspects({first.entry: crashes, second.entry: 1})
            async with self.open_bus("last") as owner:
                lane = await take(owner)
                await lane.commit([done(delivery) for delivery in await receive(lane, 2)])
            async with self.open_bus("careful") as owner:
                lane = await take(owner)
                assert (lane.crashes, len(lane.suspects)) == (5, 2)
                await lane.mark_suspects({})
            async with self.open_bus("next") as owner:
                lane = await take(owner)
                assert (lane.crashes, dict(lane.suspects)) == (1, {})
                await lane.release()
                lane = await take(owner)
                assert (lane.crashes, dict(lane.suspects)) == (0, {})

    async def test_what_was_not_committed_is_delivered_to_the_next_owner(self) -> None:
        async with self.open_bus("a") as one, self.open_bus("b") as two:
            sent = [a_command(one) for _ in range(4)]
            for command in sent:
                await one.commands.publish(command)
            lane = await take(one)
            deliveries = await lane.receive()
            await lane.commit([done(deliveries[0]), done(deliveries[2])])
            await lane.release()
            again = await (await take(two)).receive()
            assert [delivery.id for delivery in again] == [sent[1].id, sent[3].id]

    async def test_the_window_holds_back_what_its_owner_cannot_take(self) -> None:
        async with self.open_bus("a") as bus:
            for _ in range(SETTINGS.window * 2):
                await bus.commands.publish(a_command(bus))
            lane = await take(bus)
            got = list(await lane.receive())
            while len(got) < SETTINGS.window:
                got += await lane.receive()
            assert len(got) == SETTINGS.window
            with anyio.move_on_after(0.15) as waited:
                await lane.receive()
            assert waited.cancelled_caught
            await lane.commit([done(delivery) for delivery in got])
            with anyio.fail_after(5):
                assert await lane.receive()

    async def test_a_waiting_owner_is_woken_by_a_command(self) -> None:
        async with self.open_bus("a") as bus:
            lane = await take(bus)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._publish_soon, bus)
                with anyio.fail_after(2):
                    assert len(await lane.receive()) == 1

    @staticmethod
    async def _publish_soon(bus: Bus) -> None:
        await anyio.sleep(0.05)
        await bus.commands.publish(a_command(bus))

    async def test_lanes_of_many_volumes_are_read_together(self) -> None:
        volumes = [VolumeName(f"v{number}") for number in range(5)]
        async with self.open_bus("a") as bus:
            lanes = [await take(bus, volume) for volume in volumes]
            for volume in volumes:
                await bus.commands.publish(a_command(bus, volume=volume))
            with anyio.fail_after(5):
                for lane in lanes:
                    (delivery,) = await lane.receive()
                    assert delivery.envelope is not None
                    assert delivery.envelope.volume == lane.volume

    async def test_a_dead_letter_is_done_and_answered(self) -> None:
        async with self.open_bus("a") as bus:
            command = a_command(bus)
            await bus.commands.publish(command)
            lane = await take(bus)
            (delivery,) = await lane.receive()
            dead = a_dead_letter(delivery)
            await lane.commit([dead])
            reply = await bus.commands.request(command, timeout_seconds=5)
            assert reply.failure == dead.reply.failure

    # --- replies --------------------------------------------------------------------------------

    async def test_a_request_gets_its_reply_from_another_member(self) -> None:
        async with self.open_bus("a") as one, self.open_bus("b") as two:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._serve, two, 1)
                reply = await one.commands.request(a_command(one), timeout_seconds=5)
            assert reply.ok
            assert reply.result == {"by": "b"}

    async def test_the_same_request_gets_the_same_reply_again(self) -> None:
        async with self.open_bus("a") as one, self.open_bus("b") as two:
            command = a_command(one)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._serve, two, 1)
                first = await one.commands.request(command, timeout_seconds=5)
            assert await two.commands.request(command, timeout_seconds=5) == first

    async def test_a_request_nobody_answers_ends_at_its_deadline(self) -> None:
        async with self.open_bus("a") as bus:
            with pytest.raises(DeadlineExceededError):
                await bus.commands.request(a_command(bus), timeout_seconds=0.1)

    async def test_a_request_carries_its_deadline(self) -> None:
        async with self.open_bus("a") as bus:
            before = bus.clock.now()
            with pytest.raises(DeadlineExceededError):
                await bus.commands.request(a_command(bus), timeout_seconds=0.1)
            (delivery,) = await (await take(bus)).receive()
            assert delivery.envelope is not None
            assert delivery.envelope.deadline == pytest.approx(before + 0.1, abs=0.1)

    @staticmethod
    async def _serve(bus: Bus, commands: int) -> None:
        lane = await take(bus)
        while commands > 0:
            deliveries = await lane.receive()
            await lane.commit([done(delivery, by=bus.node) for delivery in deliveries])
            commands -= len(deliveries)
        await lane.release()

    # --- members --------------------------------------------------------------------------------

    async def test_members_see_each_other_come_and_go(self) -> None:
        here = frozenset({VOLUME})
        async with self.open_bus("a") as one, self.open_bus("b") as two, one.members.join(here):
            async with two.members.join(frozenset()):
                assert [m.node for m in await self._view_of(one, 2)] == ["a", "b"]
            seen = await self._view_of(one, 1)
            assert [(member.node, member.volumes) for member in seen] == [("a", here)]

    @staticmethod
    async def _view_of(bus: Bus, count: int) -> list[Member]:
        with anyio.fail_after(5):
            while len(view := await bus.members.view()) != count:
                await bus.members.wait_change(0.1)
        return list(view)

    async def test_a_release_rings(self) -> None:
        async with self.open_bus("a") as one, self.open_bus("b") as two:
            lane = await take(one)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._release_soon, lane)
                with anyio.fail_after(2):
                    await two.members.wait_change(30)

    @staticmethod
    async def _release_soon(lane: Lane) -> None:
        await anyio.sleep(0.1)
        await lane.release()

    # --- events ---------------------------------------------------------------------------------

    async def test_a_follower_sees_events_from_now_on_in_order(self) -> None:
        async with self.open_bus("a") as bus:
            await bus.events.publish(an_upload(bus, a_folder(), 1))
            async with bus.events.follow("gateway") as subscription:
                sent = [an_upload(bus, a_folder(), size) for size in range(3)]
                for event in sent:
                    await bus.events.publish(event)
                assert await self._read(subscription, 3) == sent

    async def test_a_reader_goes_on_from_its_saved_position(self) -> None:
        async with self.open_bus("a") as bus:
            async with bus.events.follow("archive") as subscription:
                sent = [an_upload(bus, a_folder(), size) for size in range(3)]
                for event in sent:
                    await bus.events.publish(event)
                with anyio.fail_after(5):
                    async for first in subscription:
                        await subscription.save(first.position)
                        break
            async with bus.events.follow("archive") as subscription:
                assert await self._read(subscription, 2) == sent[1:]

    async def test_a_watcher_starts_where_it_is_told(self) -> None:
        async with self.open_bus("a") as bus:
            sent = [an_upload(bus, a_folder(), size) for size in range(4)]
            await bus.events.publish(sent[0])
            async with bus.events.watch() as subscription:
                for event in sent[1:]:
                    await bus.events.publish(event)
                with anyio.fail_after(5):
                    first = await anext(aiter(subscription))
            assert isinstance(first, Broadcasted)
            assert first.envelope == sent[1]
            async with bus.events.watch(Position.parse(first.position.entry)) as subscription:
                assert await self._read(subscription, 2) == sent[2:]
            assert await bus.inspection.readers() == []

    async def test_a_watcher_of_some_types_is_told_of_no_others(self) -> None:
        async with self.open_bus("a") as bus:
            sent = an_upload(bus, a_folder(), 1)
            async with (
                bus.events.watch(types={"file.moved"}) as others,
                bus.events.watch(types={sent.type}) as subscription,
            ):
                await bus.events.publish(sent)
                assert await self._read(subscription, 1) == [sent]
                with anyio.move_on_after(0.2):
                    pytest.fail(f"told of {await anext(aiter(others))}")

    async def test_a_watcher_whose_place_was_lost_is_told(self) -> None:
        async with self.open_bus("a") as bus:
            event = an_upload(bus, a_folder(), 1)
            await bus.events.publish(event)
            async with bus.events.watch(Position("99999999999999")) as subscription:
                with anyio.fail_after(5):
                    assert isinstance(await anext(aiter(subscription)), Gap)
        for text in ("", "x", "1-", "-1", "1-2-3", "1" * 16, "\N{ARABIC-INDIC DIGIT ONE}"):
            with pytest.raises(InvalidRequestError):
                Position.parse(text)

    async def test_a_commit_publishes_its_events(self) -> None:
        async with self.open_bus("a") as bus, bus.events.follow("gateway") as subscription:
            await bus.commands.publish(a_command(bus))
            lane = await take(bus)
            (delivery,) = await lane.receive()
            outcome = done(delivery)
            await lane.commit([outcome])
            assert await self._read(subscription, 1) == list(outcome.events)

    @staticmethod
    async def _read(subscription: Subscription, count: int) -> list[Envelope]:
        seen: list[Envelope] = []
        with anyio.fail_after(5):
            async for event in subscription:
                assert isinstance(event, Broadcasted)
                seen.append(event.envelope)
                if len(seen) == count:
                    break
        return seen

    # --- looking --------------------------------------------------------------------------------

    async def test_a_lane_tells_how_it_stands(self) -> None:
        async with self.open_bus("a") as bus:
            empty = await bus.inspection.lane(VOLUME)
            assert (empty.owner, empty.waiting, empty.oldest_seconds, empty.dead_letters) == ("", 0, None, 0)
            for _ in range(3):
                await bus.commands.publish(a_command(bus))
            lane = await take(bus)
            first, second, _ = await lane.receive()
            await lane.commit([done(first), a_dead_letter(second)])
            status = await bus.inspection.lane(VOLUME)
            assert (status.owner, status.epoch) == (bus.node, lane.epoch)
            assert (status.waiting, status.dead_letters) == (1, 1)
            assert status.oldest_seconds is not None
            assert 0 <= status.oldest_seconds < 60

    async def test_readers_tell_how_far_they_are(self) -> None:
        async with self.open_bus("a") as bus:
            assert await bus.inspection.readers() == []
            async with bus.events.follow("archive") as subscription:
                await bus.events.publish(an_upload(bus, a_folder(), 1))
                async for event in subscription:
                    await subscription.save(event.position)
                    break
            (reader,) = await bus.inspection.readers()
            assert (reader.reader, reader.position) == ("archive", event.position)
            assert 0 <= reader.silent_seconds < 60

    # --- catalogue ------------------------------------------------------------------------------

    async def test_a_committed_event_is_in_the_catalogue(self) -> None:
        async with self.open_bus("a") as bus:
            folder = a_folder()
            await bus.commands.publish(a_command(bus, folder))
            lane = await take(bus)
            await lane.commit([done(delivery) for delivery in await lane.receive()])
            (fields,) = await bus.catalogue.fields([folder_record(folder, VOLUME)])
            assert fields is not None
            assert FolderRecord.parse(folder_member(folder, VOLUME), fields).mode == 0o755
            for index in (ALL_FOLDERS, volume_index(VOLUME), owner_index(SCOPE)):
                assert await bus.catalogue.page(index, limit=10) == [folder_member(folder, VOLUME)]

    async def test_an_index_is_read_page_by_page(self) -> None:
        async with self.open_bus("a") as bus:
            folders = sorted(str(a_folder(number)) for number in range(7))
            for number in range(7):
                await bus.commands.publish(a_command(bus, a_folder(number)))
            lane = await take(bus)
            await lane.commit([done(delivery) for delivery in await lane.receive()])
            pages: list[str] = []
            while page := await bus.catalogue.page(ALL_FOLDERS, after=pages[-1] if pages else "", limit=3):
                pages += page
            assert pages == [f"{folder}@{VOLUME}" for folder in folders]
            assert await bus.catalogue.count(ALL_FOLDERS) == len(folders)
            assert await bus.catalogue.count("index:nothing") == 0

    async def test_usage_follows_uploads_once_it_was_counted(self) -> None:
        async with self.open_bus("a") as bus:
            folder = a_folder()
            record = usage_record(folder, VOLUME)
            await bus.events.publish(an_upload(bus, folder, 10))
            assert await bus.catalogue.fields([record]) == [None]
            await bus.catalogue.apply([Put(record, {"file_bytes": 5, "files": 1, "measured": 1.5})])
            await bus.events.publish(an_upload(bus, folder, 10))
            (fields,) = await bus.catalogue.fields([record])
            assert fields is not None
            assert UsageRecord.parse(fields) == UsageRecord(15, 2, 1.5)

    # --- records --------------------------------------------------------------------------------

    async def test_a_record_is_made_once_and_changed_by_compare_and_set(self) -> None:
        async with self.open_bus("a") as bus:
            assert await bus.records.create("upload:1", {"n": 1}, keep_seconds=60, due=0)
            assert not await bus.records.create("upload:1", {"n": 2}, keep_seconds=60, due=0)
            record = await bus.records.load("upload:1")
            assert record is not None
            assert (record.document, record.revision) == ({"n": 1}, FIRST_REVISION)
            change = {"revision": record.revision, "keep_seconds": 60, "due": None}
            assert await bus.records.replace("upload:1", {"n": 3}, **change)  # type: ignore[arg-type]
            assert not await bus.records.replace("upload:1", {"n": 4}, **change)  # type: ignore[arg-type]
            changed = await bus.records.load("upload:1")
            assert changed is not None
            assert changed.document == {"n": 3}

    async def test_a_record_change_and_its_event_are_one_step(self) -> None:
        async with self.open_bus("a") as bus, bus.events.follow("gateway") as subscription:
            await bus.records.create("upload:1", {}, keep_seconds=60, due=0)
            event = an_upload(bus, a_folder(), 1)
            for revision in (1, 1, 2):
                await bus.records.replace(
                    "upload:1", {}, revision=revision, keep_seconds=60, due=None, event=replace(event, id=uuid4())
                )
            last = an_upload(bus, a_folder(), 2)
            await bus.events.publish(last)
            seen = await self._read(subscription, 3)
            assert seen[2] == last

    async def test_a_record_change_and_what_it_changes_besides_are_one_step(self) -> None:
        async with self.open_bus("a") as bus:
            await bus.records.create("upload:1", {}, keep_seconds=60, due=None)
            await bus.catalogue.apply([Index("index:x", member) for member in ("one", "two", "three")])
            for revision, member in ((2, "one"), (1, "two")):
                done = await bus.records.replace(
                    "upload:1",
                    {},
                    revision=revision,
                    keep_seconds=60,
                    due=None,
                    changes=[Unindex("index:x", member), Index("index:y", member)],
                )
                assert done == (revision == 1)
            assert list(await bus.catalogue.page("index:x", limit=9)) == ["one", "three"]
            assert list(await bus.catalogue.page("index:y", limit=9)) == ["two"]

    async def test_a_record_is_made_and_dropped_in_one_step_with_what_it_changes_besides(self) -> None:
        async with self.open_bus("a") as bus:
            for member, made in (("one", True), ("two", False)):
                done = await bus.records.create(
                    "upload:1", {}, keep_seconds=60, due=0, changes=[Index("index:x", member)]
                )
                assert done == made
            assert list(await bus.catalogue.page("index:x", limit=9)) == ["one"]
            await bus.records.remove("upload:1", [Unindex("index:x", "one"), Index("index:y", "one")])
            assert await bus.records.load("upload:1") is None
            assert list(await bus.catalogue.page("index:x", limit=9)) == []
            assert list(await bus.catalogue.page("index:y", limit=9)) == ["one"]

    async def test_due_records_are_listed_oldest_first_until_they_are_settled(self) -> None:
        async with self.open_bus("a") as bus:
            for number, due in ((1, 30.0), (2, 10.0), (3, 20.0), (4, 99.0)):
                await bus.records.create(f"upload:{number}", {}, keep_seconds=60, due=due)
            names = ["upload:2", "upload:3", "upload:1"]
            assert await bus.records.due("upload", before=50, limit=10) == names
            assert await bus.records.due("upload", before=50, limit=2) == names[:2]
            assert await bus.records.due("upload", before=math.inf, limit=10) == [*names, "upload:4"]
            await bus.records.remove("upload:2")
            await bus.records.replace("upload:3", {}, revision=1, keep_seconds=60, due=None)
            assert await bus.records.due("upload", before=50, limit=10) == ["upload:1"]
            assert await bus.records.load("upload:2") is None

    async def test_a_record_expires(self) -> None:
        async with self.open_bus("a") as bus:
            await bus.records.create("upload:1", {}, keep_seconds=0.05, due=0)
            await anyio.sleep(0.1)
            assert await bus.records.load("upload:1") is None

    # --- signals --------------------------------------------------------------------------------

    async def test_a_signal_reaches_everybody_who_waits_for_it(self) -> None:
        async with self.open_bus("a") as one, self.open_bus("b") as two, anyio.create_task_group() as tasks:
            heard: list[str] = []

            async def hear(bus: Bus, name: str) -> None:
                await bus.signals.wait(name)
                heard.append(f"{bus.node} {name}")

            for bus, name in ((one, "x"), (two, "x"), (two, "y")):
                tasks.start_soon(hear, bus, name)
            await anyio.wait_all_tasks_blocked()
            await two.signals.ring("x")
            with anyio.fail_after(5):
                while len(heard) < 2:
                    await anyio.sleep(0.01)
            assert sorted(heard) == ["a x", "b x"]
            await one.signals.ring("y")

    async def test_a_signal_rung_between_two_waits_is_not_missed(self) -> None:
        async with self.open_bus("a") as bus:
            with anyio.fail_after(5):
                await bus.signals.ring("x")
                await bus.signals.wait("x")
                await bus.signals.ring("x")
                await anyio.sleep(0.1)
                await bus.signals.wait("x")
            with anyio.move_on_after(0.2) as scope:
                await bus.signals.wait("x")
            assert scope.cancelled_caught

    # --- leases ---------------------------------------------------------------------------------

    async def test_a_lease_has_one_holder(self) -> None:
        async with self.open_bus("a") as one, self.open_bus("b") as two:
            async with one.leases.hold("x", wait_seconds=0):
                with pytest.raises(ConflictError):
                    async with two.leases.hold("x", wait_seconds=0.1):
                        pass
            async with two.leases.hold("x", wait_seconds=1) as lease:
                await lease.confirm()

    async def test_a_holder_is_told_when_somebody_asks(self) -> None:
        async with self.open_bus("a") as one, self.open_bus("b") as two:
            taken = anyio.Event()
            async with anyio.create_task_group() as tasks:
                async with one.leases.hold("x", wait_seconds=0) as lease:
                    tasks.start_soon(self._take, two, taken)
                    with anyio.fail_after(2):
                        await lease.wait_asked()
                    await lease.confirm()
                    assert not taken.is_set()
                with anyio.fail_after(2):
                    await taken.wait()

    @staticmethod
    async def _take(bus: Bus, taken: anyio.Event) -> None:
        async with bus.leases.hold("x", wait_seconds=2):
            taken.set()

    async def test_a_lease_lasts_while_its_holder_lives(self) -> None:
        async with self.open_bus("a") as one, one.leases.hold("x", wait_seconds=0) as lease:
            await anyio.sleep(SETTINGS.upload_lease_seconds * 2)
            await lease.confirm()
