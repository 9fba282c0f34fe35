"""Trimming streams down to what somebody may still need."""

from __future__ import annotations

from loguru import logger

from bus.contract import Trimmed
from bus.streams import keys
from bus.streams.wiring import Wiring
from domain.ids import VolumeName


class StreamUpkeep:
    """Trimming over Redis; the floors are found and used in one script each."""

    def __init__(self, wiring: Wiring) -> None:
        self._wiring = wiring
        settings = wiring.settings
        self._commands_ms = int(settings.command_keep_seconds * 1000)
        self._events_ms = int(settings.event_keep_seconds * 1000)
        self._dead_ms = int(settings.dead_letter_keep_seconds * 1000)
        self._readers_ms = int(settings.reader_keep_seconds * 1000)

    async def trim(self, volume: VolumeName) -> Trimmed:
        """Remove a volume's old commands and events."""
        commands, events, dead = await self._wiring.scripts.call(
            "trim",
            (
                keys.commands(volume),
                keys.lane(volume),
                keys.events(volume),
                keys.dead_letters(volume),
                keys.quarantine(volume),
                keys.command_readers(volume),
                keys.READERS_SEEN,
                keys.parked(volume),
            ),
            (self._commands_ms, self._events_ms, self._dead_ms, self._readers_ms),
        )
        self._wiring.observer.trimmed("commands", commands)
        self._wiring.observer.trimmed("events", events)
        self._wiring.observer.trimmed("dead_letters", dead)
        if dead:
            logger.error("{} dead letters of volume {} were too old to be kept longer", dead, volume)
        return Trimmed(commands + events + dead)

    async def trim_broadcast(self) -> Trimmed:
        """Remove old events from the broadcast."""
        removed, holder, *expired = await self._wiring.scripts.call(
            "trim_broadcast",
            (keys.BROADCAST, keys.READERS, keys.READERS_SEEN, keys.READERS_EXPIRED, keys.TRIMMED),
            (self._events_ms, self._readers_ms),
        )
        for reader in expired:
            name = reader.decode()
            self._wiring.observer.reader_expired(name)
            logger.error("reader {} did not show itself for long; events are not kept for it any more", name)
        self._wiring.observer.trimmed("broadcast", removed)
        return Trimmed(removed, holder.decode())
