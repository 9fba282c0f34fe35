"""Who sends commands in a fault run."""

from __future__ import annotations

import random
from contextlib import suppress
from dataclasses import dataclass

import anyio
from harness.fault.plan import Plan
from harness.fault.words import (
    POISON_EAT,
    POISON_HANG,
    POISON_KILL,
    SICK_BYTES,
    History,
    Sent,
    folder_of,
    scope_of,
)

from bus.contract import Bus
from domain.commands import CreateQuotaScope, CreateVFolder, DeleteVFolder, SetQuota
from domain.envelope import wrap_command
from domain.errors import BusBrokenError, BusyError, ConflictError, DeadlineExceededError
from domain.ids import VFolderId, VolumeName
from domain.messages import Command

#: Which client sends which poison, and as its how manieth new folder.
_POISON = {0: (POISON_KILL, 8), 1: (POISON_HANG, 12), 2: (POISON_EAT, 10)}
#: The part of all limits that every volume refuses until somebody has found out why.
_SICK = 0.3
#: How many ask at once in the end, and for how long altogether, in seconds.
_ASKING = 16
_ASKING_SECONDS = 20


@dataclass(frozen=True)
class Habits:
    """How all clients of a run send.

    Args:
        poison: some commands kill, hang or starve who handles them.
        sick: some commands fail until it is found out why.
        fresh_ids: a negative control: whatever is sent again gets another id.
        lossy: the store loses something, so accepted commands may be gone, and answers before they are read.
    """

    poison: bool = True
    sick: bool = False
    fresh_ids: bool = False
    lossy: bool = False


ORDINARY = Habits()


@dataclass
class Client:
    """Sends commands about folders of its own, one by one; sends again until it knows that they are accepted."""

    number: int
    plan: Plan
    history: History
    chance: random.Random
    habits: Habits

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
                command: Command = SetQuota(scope=scope_of(self.number), limit_bytes=self._limit(limit))
            elif kind < 0.45 and mine:
                command = DeleteVFolder(folder=mine.pop(self.chance.randrange(len(mine))))
            else:
                made += 1
                folder = folder_of(self.number, self.chance, self._ending(made))
                mine.append(folder)
                command = CreateVFolder(folder=folder)
            await self._send(bus, volume, command, stop)
            await anyio.sleep(self.chance.random() * 0.02)

    def _limit(self, number: int) -> int:
        sick = self.habits.sick and self.chance.random() < _SICK
        return (number << 40) + (SICK_BYTES if sick else 0)

    def _ending(self, made: int) -> int | None:
        kind, when = _POISON.get(self.number, (0, 0))
        return kind if self.habits.poison and made == when else None

    async def _send(self, bus: Bus, volume: VolumeName, command: Command, stop: anyio.Event) -> None:
        sent = Sent(wrap_command(command, id=bus.clock.new_id(), volume=volume, time=bus.clock.now()))
        self.history.sent.append(sent)
        while True:
            try:
                sent.entry = (await bus.commands.publish(sent.command)).entry
                if self.habits.fresh_ids and self.chance.random() < 0.2:
                    raise BusBrokenError("the answer was lost")
                await self._listen(bus, sent)
            except BusyError:
                self.history.busy += 1
            except BusBrokenError:
                if self.habits.fresh_ids:
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
            lost = (ConflictError,) if self.habits.lossy else ()
            with suppress(DeadlineExceededError, BusyError, BusBrokenError, *lost):
                sent.reply = await bus.commands.request(sent.command, timeout_seconds=0.5)


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
