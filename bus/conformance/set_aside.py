"""What was set aside: dead letters, and commands that wait behind one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bus.conformance.opening import OpensBus
from bus.conformance.words import SETTINGS, VOLUME, a_command, a_dead_letter, a_folder, done, receive, take
from bus.contract import Outcome, Verdict
from domain.envelope import Reply
from domain.errors import BusyError


class SetAside(OpensBus):
    """What was set aside: dead letters, and commands that wait behind one."""

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
