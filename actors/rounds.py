"""Has what is done at intervals done: counting what folders hold.

When it is time follows from the clock alone, and so does the id of the command: however often owners change, it is
done once in each interval.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

import anyio
from loguru import logger

from actors.settings import ActorSettings
from backends.contract import Volume
from backends.powers import KeepsWork
from bus.contract import Bus
from domain.envelope import Origin, wrap_command
from domain.errors import PenstockError
from domain.ids import VolumeName, uuid7
from domain.task_commands import StartTask
from domain.tasks import TaskKind

#: How often it is looked whether it is time, at least, in seconds.
_LOOK_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class _Wish:
    """Something that is done at intervals."""

    seconds: float
    #: Part of an interval by which the first one is shifted.
    shift: float
    command: StartTask

    def number(self, now: float) -> int:
        """Which interval it is."""
        return int(now / self.seconds + self.shift)

    def begin(self, number: int) -> float:
        """When an interval began (Unix time)."""
        return (number - self.shift) * self.seconds


class Rounds:
    """Does it for one volume."""

    def __init__(self, volume: Volume, bus: Bus, settings: ActorSettings) -> None:
        self._volume = volume
        self._name = VolumeName(volume.name)
        self._bus = bus
        # Another moment for each volume, so that not all are counted at once.
        shift = int.from_bytes(hashlib.sha256(self._name.encode()).digest()[:4]) / 2**32
        wishes = (
            _Wish(settings.scan_seconds, shift, StartTask(kind=TaskKind.SCAN)),
            _Wish(settings.full_scan_seconds, shift, StartTask(kind=TaskKind.SCAN, options={"full": True})),
        )
        self._wishes = [wish for wish in wishes if wish.seconds]

    async def run(self) -> None:
        """Look for ever; what would have been done before this began is left out."""
        if not isinstance(self._volume, KeepsWork) or not self._wishes:
            return
        done = [wish.number(self._bus.clock.now()) for wish in self._wishes]
        while True:
            await anyio.sleep(min(_LOOK_SECONDS, *(wish.seconds / 4 for wish in self._wishes)))
            for index, wish in enumerate(self._wishes):
                number = wish.number(self._bus.clock.now())
                if number != done[index] and await self._begin(self._volume, wish, number):
                    done[index] = number

    async def _begin(self, keeper: KeepsWork, wish: _Wish, number: int) -> bool:
        """Have it done, unless the last one is still going on; False: not now."""
        text = f"{self._name}:{wish.command.kind}:{sorted(wish.command.options)}:{number}"
        id_ = uuid7(int(wish.begin(number) * 1000), hashlib.sha256(text.encode()).digest())
        origin, now = Origin(actor=self._bus.node), self._bus.clock.now()
        try:
            if any(work.kind is wish.command.kind for work in await keeper.works()):
                return True
            await self._bus.commands.publish(
                wrap_command(wish.command, id=id_, volume=self._name, time=now, origin=origin)
            )
        except PenstockError as error:
            logger.warning("beginning {} of {}: {}", wish.command.kind, self._name, error)
            return False
        return True
