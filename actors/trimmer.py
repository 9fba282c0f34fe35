"""Trims the streams of one volume, and the broadcast, from time to time, and tells how its queue stands."""

from __future__ import annotations

import anyio
from loguru import logger

from actors.observer import ActorObserver
from bus.contract import Bus
from domain.errors import BusError
from domain.ids import VolumeName


class Trimmer:
    """Belongs to the owner of a volume; that several trim the broadcast does no harm."""

    def __init__(self, bus: Bus, volume: VolumeName, interval_seconds: float, observer: ActorObserver) -> None:
        self._bus = bus
        self._observer = observer
        self._volume = volume
        self._interval = interval_seconds

    async def run(self) -> None:
        """Trim for ever."""
        while True:
            try:
                await self._bus.upkeep.trim(self._volume)
                self._observer.floor((await self._bus.upkeep.trim_broadcast()).holder)
                self._observer.queue(await self._bus.inspection.lane(self._volume))
            except BusError as error:
                logger.debug("trimming {}: {}", self._volume, error)
            await anyio.sleep(self._interval)
