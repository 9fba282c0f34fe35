"""Trims the streams of one volume, and the broadcast, from time to time."""

from __future__ import annotations

import anyio
from loguru import logger

from bus.contract import Bus
from domain.errors import BusError
from domain.ids import VolumeName


class Trimmer:
    """Belongs to the owner of a volume; that several trim the broadcast does no harm."""

    def __init__(self, bus: Bus, volume: VolumeName, interval_seconds: float) -> None:
        self._upkeep = bus.upkeep
        self._volume = volume
        self._interval = interval_seconds

    async def run(self) -> None:
        """Trim for ever."""
        while True:
            try:
                await self._upkeep.trim(self._volume)
                await self._upkeep.trim_broadcast()
            except BusError as error:
                logger.debug("trimming {}: {}", self._volume, error)
            await anyio.sleep(self._interval)
