"""Who sends commands in a fault run, and who follows the events."""

from __future__ import annotations

import random
from contextlib import suppress
from dataclasses import dataclass

import anyio
from harness.fault.plan import Plan
from harness.fault.words import POISON_EAT, POISON_HANG, POISON_KILL, History, Sent, folder_of, scope_of

from bus.contract import Bus, Gap, Position
from bus.streams import open_streams_bus
from domain.commands import CreateQuotaScope, CreateVFolder, DeleteVFolder, SetQuota
from domain.envelope import wrap_command
from domain.errors import BusBrokenError, BusyError, ConflictError, DeadlineExceededError
from domain.ids import VFolderId, VolumeName
from domain.messages import Command

#: Which client sends which poison, and as its how manieth new folder.
_POISON = {0: (POISON_KILL, 8), 1: (POISON_HANG, 12), 2: (POISON_EAT, 10)}
#: How many ask at once in the end, and for how long altogether, in seconds.
_ASKING = 16
_ASKING_SECONDS = 20
_READER = "checker"
_BEGINNING = Position("0")


@dataclass
class Client:
    """Sends commands about folders of its own, one after the other; sends again until it knows they are accepted.

    Args:
        fresh_ids: a negative control: whatever is sent again gets another id.
        lossy: the store loses everything at some time, an answer between being told of and being read as well.
    """

    number: int
    plan: Plan
    history: History
    chance: random.Random
    poison: bool
    fresh_ids: bool = False
    lossy: bool = False

    async def run(self, bus: Bus, stop: anyio.Event) -> None:
        volume = VolumeName(self.plan.volumes[self.number % len(self.plan.volumes)])
        mine: list[VFolderId] = []
        made = 0
        await self._send(bus, volume, CreateQuotaScope(scope=scope_of(self.number)), stop)
        limit = 0
        while not stop.is_set():
            kind = self.chance.random()
            if kind < 0.2:
                limit += 1
                command: Command = SetQuota(scope=scope_of(self.number), limit_bytes=limit << 40)
            elif kind < 0.45 and mine:
                command = DeleteVFolder(folder=mine.pop(self.chance.randrange(len(mine))))
            else:
                made += 1
                folder = folder_of(self.number, self.chance, self._ending(made))
                mine.append(folder)
                command = CreateVFolder(folder=folder)
            await self._send(bus, volume, command, stop)
            await anyio.sleep(self.chance.random() * 0.02)

    def _ending(self, made: int) -> int | None:
        kind, when = _POISON.get(self.number, (0, 0))
        return kind if self.poison and made == when else None

    async def _send(self, bus: Bus, volume: VolumeName, command: Command, stop: anyio.Event) -> None:
        sent = Sent(wrap_command(command, id=bus.clock.new_id(), volume=volume, time=bus.clock.now()))
        self.history.sent.append(sent)
        while True:
            try:
                sent.entry = (await bus.commands.publish(sent.command)).entry
                if self.fresh_ids and self.chance.random() < 0.2:
                    raise BusBrokenError("the answer was lost")
                await self._listen(bus, sent)
            except BusyError:
                self.history.busy += 1
            except BusBrokenError:
                if self.fresh_ids:
                    await self._send(bus, volume, command, stop)
                    return
            else:
                return
            if stop.is_set():
                return  # whether it was accepted is found out in the end
            await anyio.sleep(0.02)

    async def _listen(self, bus: Bus, sent: Sent) -> None:
        """Now and then wait a little for the answer, to compare it with the one that is given in the end."""
        if self.chance.random() < 0.3:
            lost = (ConflictError,) if self.lossy else ()
            with suppress(DeadlineExceededError, BusyError, BusBrokenError, *lost):
                sent.reply = await bus.commands.request(sent.command, timeout_seconds=0.5)


async def register(plan: Plan) -> None:
    """Have everything kept for the follower before there is anything."""
    opened = open_streams_bus(plan.bus_settings(), "registrar")
    async with opened as bus, bus.events.follow(_READER, _BEGINNING) as subscription:
        await subscription.save(_BEGINNING)


async def follow(plan: Plan, history: History, stop: anyio.Event, chance: random.Random) -> None:
    """Follow all events as a registered reader that dies now and then between seeing and saving."""
    while not stop.is_set():
        try:
            async with open_streams_bus(plan.bus_settings(), f"follower{chance.random()}") as bus:
                await _follow_once(bus, history, stop, chance)
        except* BusBrokenError:
            await anyio.sleep(0.1)


async def _follow_once(bus: Bus, history: History, stop: anyio.Event, chance: random.Random) -> None:
    async with bus.events.follow(_READER, _BEGINNING) as subscription, anyio.create_task_group() as tasks:

        async def end() -> None:
            with anyio.move_on_after(1 + chance.random() * 3):
                await stop.wait()
            tasks.cancel_scope.cancel()

        tasks.start_soon(end)
        unsaved = 0
        async for item in subscription:
            if isinstance(item, Gap):
                history.gaps += 1
                continue
            if item.envelope.id not in history.events:
                history.events[item.envelope.id] = item.envelope
            unsaved += 1
            if unsaved > 20 and chance.random() < 0.2:
                await subscription.save(item.position)
                unsaved = 0
        tasks.cancel_scope.cancel()


async def ask_again(bus: Bus, history: History) -> None:
    """Send every accepted command once more, by the same id: its answer is there, and is the only one."""
    waiting = iter([sent for sent in history.sent if sent.entry])

    async def ask() -> None:
        for sent in waiting:
            with suppress(DeadlineExceededError, ConflictError, BusyError):
                sent.again = await bus.commands.request(sent.command, timeout_seconds=3)

    with anyio.move_on_after(_ASKING_SECONDS):
        async with anyio.create_task_group() as tasks:
            for _ in range(_ASKING):
                tasks.start_soon(ask)
