"""Lanes: one owner at a time, and what the next one gets."""

from __future__ import annotations

import anyio
import pytest

from bus.conformance.opening import OpensBus
from bus.conformance.words import SETTINGS, VOLUME, a_command, a_memo, done, live, read, receive, take
from bus.contract import Bus, Delivery
from domain.errors import FencedError
from domain.ids import VolumeName


class Lanes(OpensBus):
    """Lanes: one owner at a time, and what the next one gets."""

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
            assert [event.id for event in await read(subscription, 2)] == ids
            assert (await bus.commands.request(lost, timeout_seconds=5)).result == {"made": "restored"}
            assert (await bus.commands.request(known, timeout_seconds=5)).result == {"made": "first"}

    async def test_what_waits_is_restored_before_what_was_done_after_it_and_is_lost(self) -> None:
        async with self.open_bus("a") as bus, bus.events.follow("x") as subscription:
            lane = await take(bus)
            first, lost, last, fresh = [a_command(bus) for _ in range(4)]
            for command in (first, last, fresh):
                await bus.commands.publish(command)
            memos = [a_memo(command) for command in (first, lost, last)]
            assert await lane.restore(memos[:1]) == 0, "nothing behind it is lost"
            assert await lane.restore(memos) == 2
            assert (await bus.inspection.lane(VOLUME)).waiting == 2
            assert (await bus.commands.request(first, timeout_seconds=5)).result == {"made": "restored"}
            came: list[Delivery] = []
            while not came or came[-1].id != fresh.id:
                came += await receive(lane, 1)
            await lane.commit([done(delivery) for delivery in came])
            causes = [event.origin.cause for event in await read(subscription, 4)]
            assert causes == [command.id for command in (first, lost, last, fresh)]
            assert (await bus.inspection.lane(VOLUME)).waiting == 0

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

    async def test_what_an_earlier_owner_may_have_begun_is_told(self) -> None:
        async with self.open_bus("a") as one, self.open_bus("c") as three:
            sent = [a_command(one) for _ in range(4)]
            await one.commands.publish(sent[0])
            lane = await take(one)
            assert [delivery.again for delivery in await lane.receive()] == [False]
            await lane.release()
            await anyio.sleep(0.01)
            await one.commands.publish(sent[1])
            async with self.open_bus("b") as two:
                lane = await take(two)
                assert [delivery.again for delivery in await receive(lane, 2)] == [True, False]
                await two.commands.publish(sent[2])
                assert [delivery.again for delivery in await lane.receive()] == [False]
            with anyio.fail_after(5):  # it has died
                while (last := await three.lanes.acquire(VOLUME)) is None:
                    await anyio.sleep(0.05)
            await one.commands.publish(sent[3])
            assert [delivery.again for delivery in await receive(last, 4)] == [True, True, True, False]

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
