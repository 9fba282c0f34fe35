"""Events, and those who follow them."""

from __future__ import annotations

import anyio
import pytest

from bus.conformance.opening import OpensBus
from bus.conformance.words import a_command, a_folder, an_upload, done, read, take
from bus.contract import Broadcasted, Gap, Position
from domain.errors import InvalidRequestError


class Events(OpensBus):
    """Events, and those who follow them."""

    async def test_a_follower_sees_events_from_now_on_in_order(self) -> None:
        async with self.open_bus("a") as bus:
            await bus.events.publish(an_upload(bus, a_folder(), 1))
            async with bus.events.follow("gateway") as subscription:
                sent = [an_upload(bus, a_folder(), size) for size in range(3)]
                for event in sent:
                    await bus.events.publish(event)
                assert await read(subscription, 3) == sent

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
                assert await read(subscription, 2) == sent[1:]

    async def test_a_reader_that_died_before_it_saved_anything_misses_nothing(self) -> None:
        async with self.open_bus("a") as bus:
            await bus.events.publish(an_upload(bus, a_folder(), 1))
            async with bus.events.follow("archive"):
                pass
            sent = an_upload(bus, a_folder(), 2)
            await bus.events.publish(sent)
            async with bus.events.follow("archive") as subscription:
                assert await read(subscription, 1) == [sent]

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
            async with bus.events.watch(Position.parse(first.position.entry, "after")) as subscription:
                assert await read(subscription, 2) == sent[2:]
            assert await bus.inspection.readers() == []

    async def test_a_watcher_of_some_types_is_told_of_no_others(self) -> None:
        async with self.open_bus("a") as bus:
            sent = an_upload(bus, a_folder(), 1)
            async with (
                bus.events.watch(types={"file.moved"}) as others,
                bus.events.watch(types={sent.type}) as subscription,
            ):
                await bus.events.publish(sent)
                assert await read(subscription, 1) == [sent]
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
                Position.parse(text, "after")

    async def test_a_commit_publishes_its_events(self) -> None:
        async with self.open_bus("a") as bus, bus.events.follow("gateway") as subscription:
            await bus.commands.publish(a_command(bus))
            lane = await take(bus)
            (delivery,) = await lane.receive()
            outcome = done(delivery)
            await lane.commit([outcome])
            assert await read(subscription, 1) == list(outcome.events)
