"""Who follows the events of a fault run."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import anyio
from harness.fault.plan import Plan
from harness.fault.words import History

from bus.contract import Bus, Gap, Position
from bus.streams import open_streams_bus
from domain.errors import BusBrokenError

#: Two registered readers: one that dies now and then, and one that is slow as well.
FOLLOWER = "checker"
SLOTH = "sloth"
_BEGINNING = Position("0")
#: How many events a reader takes in until it may say so.
_UNSAVED = 20
#: Longest time the slow one takes for an event, in seconds.
_SLOW_SECONDS = 0.02


async def register(plan: Plan) -> None:
    """Have everything kept for the readers before there is anything."""
    async with open_streams_bus(plan.patient_settings(), "registrar") as bus:
        for name in (FOLLOWER, SLOTH):
            async with bus.events.follow(name, _BEGINNING) as subscription:
                await subscription.save(_BEGINNING)


@dataclass
class Reader:
    """Follows all events as a registered reader that dies now and then between seeing and saving."""

    name: str
    plan: Plan
    history: History
    chance: random.Random
    _hurries: bool = field(default=False, init=False)

    def hurry(self) -> None:
        """Be slow no longer."""
        self._hurries = True

    async def run(self, stop: anyio.Event) -> None:
        """Follow until it is over."""
        while not stop.is_set():
            try:
                async with open_streams_bus(self.plan.bus_settings(), f"{self.name}{self.chance.random()}") as bus:
                    await self._once(bus, stop)
            except* BusBrokenError:
                await anyio.sleep(0.1)

    async def _once(self, bus: Bus, stop: anyio.Event) -> None:
        events = self.history.slow if self.name == SLOTH else self.history.events
        async with bus.events.follow(self.name, _BEGINNING) as subscription, anyio.create_task_group() as tasks:

            async def end() -> None:
                with anyio.move_on_after(1 + self.chance.random() * 3):
                    await stop.wait()
                tasks.cancel_scope.cancel()

            tasks.start_soon(end)
            unsaved = 0
            async for item in subscription:
                if isinstance(item, Gap):
                    self.history.gaps += 1
                    continue
                events.setdefault(item.envelope.id, item.envelope)
                unsaved += 1
                if unsaved > _UNSAVED and self.chance.random() < 0.2:
                    await subscription.save(item.position)
                    unsaved = 0
                if self.name == SLOTH and not self._hurries:
                    await anyio.sleep(self.chance.random() * _SLOW_SECONDS)
            tasks.cancel_scope.cancel()
