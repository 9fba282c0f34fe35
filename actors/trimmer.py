"""Keeps what grows small: streams, the broadcast, tasks that are over; and tells how the queue stands."""

from __future__ import annotations

from typing import Final

import anyio
from loguru import logger

from actors.observer import ActorObserver
from actors.settings import ActorSettings
from bus.contract import Bus
from domain.catalogue import Remove, Unindex
from domain.errors import BusError
from domain.ids import VolumeName
from domain.tasks import ALL_TASKS, ENDED_TASKS, parse_ended_member, task_record

_PAGE: Final = 500


class Trimmer:
    """Belongs to the owner of a volume; that several trim the broadcast does no harm."""

    def __init__(self, bus: Bus, volume: VolumeName, settings: ActorSettings, observer: ActorObserver) -> None:
        self._bus = bus
        self._observer = observer
        self._volume = volume
        self._settings = settings

    async def run(self) -> None:
        """Trim for ever."""
        while True:
            try:
                await self._bus.upkeep.trim(self._volume)
                self._observer.floor((await self._bus.upkeep.trim_broadcast()).holder)
                await self._forget_tasks()
                self._observer.queue(await self._bus.inspection.lane(self._volume))
            except BusError as error:
                logger.debug("trimming {}: {}", self._volume, error)
            await anyio.sleep(self._settings.trim_interval_seconds)

    async def _forget_tasks(self) -> None:
        """Drop the records of tasks that were over long ago."""
        catalogue, oldest = self._bus.catalogue, self._bus.clock.now() - self._settings.task_seconds
        while members := await catalogue.page(ENDED_TASKS, limit=_PAGE):
            ended = {member: parse_ended_member(member) for member in members}
            old = {member: task for member, (task, time) in ended.items() if time < oldest}
            for member, task in old.items():
                gone = (Remove(task_record(task)), Unindex(ALL_TASKS, str(task)), Unindex(ENDED_TASKS, member))
                await catalogue.apply(gone)
            if len(old) < len(members):
                return
