"""Commands: accepted once, in order, and answered."""

from __future__ import annotations

from dataclasses import replace
from uuid import uuid4

import anyio
import pytest

from bus.conformance.opening import OpensBus
from bus.conformance.words import SETTINGS, a_command, done, take
from bus.contract import Bus
from domain.errors import BusyError, DeadlineExceededError, InvalidRequestError


class Commands(OpensBus):
    """Commands: accepted once, in order, and answered."""

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
