"""All series of an archive, and following the streams into them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Final

import anyio
from loguru import logger

from bus.contract import Bus, Position, Stored
from bus.filters import Filter
from domain.errors import BusBrokenError
from domain.ids import VolumeName
from ops.archive.series import Series

Read = Callable[..., Awaitable[Sequence[Stored]]]
Hold = Callable[[Position], Awaitable[None]]

#: Name on the registers of readers.
READER: Final = "archive"
_BATCH: Final = 500
_POLL_SECONDS: Final = 1.0


class Archive:
    """A directory with a series for the events and one for each volume's commands."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def events(self) -> Series:
        """All events."""
        return Series(self._directory / "events")

    def commands(self, volume: VolumeName) -> Series:
        """Commands of a volume."""
        return Series(self._directory / "commands" / volume)

    def read_events(self, wanted: Filter) -> Iterator[Stored]:
        """Events that match, oldest first."""
        return self.events().read(wanted)

    def read_commands(self, wanted: Filter) -> Iterator[Stored]:
        """Commands that match, volume by volume, oldest first."""
        there = self._directory / "commands"
        for path in sorted(there.iterdir()) if there.is_dir() else ():
            if wanted.volume in ("", path.name):
                yield from self.commands(VolumeName(path.name)).read(wanted)


class Archiver:
    """Follows the streams into an archive. Trimming waits for it: it is on the registers of readers."""

    def __init__(self, bus: Bus, archive: Archive, volumes: Sequence[VolumeName]) -> None:
        self._bus = bus
        self._archive = archive
        self._volumes = volumes

    async def run(self, stop: anyio.Event) -> None:
        """Follow until `stop` is set; what was read by then is on disk and in closed segments."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._follow_events, stop)
            for volume in self._volumes:
                tasks.start_soon(self._follow_commands, volume, stop)

    async def _follow_events(self, stop: anyio.Event) -> None:
        series = self._archive.events()
        async with self._bus.events.follow(READER, Position("0")) as register:
            await self._follow(series, partial(self._bus.history.events, None), register.save, stop)

    async def _follow_commands(self, volume: VolumeName, stop: anyio.Event) -> None:
        series = self._archive.commands(volume)
        hold = partial(self._bus.history.hold_commands, volume, READER)
        await self._follow(series, partial(self._bus.history.commands, volume), hold, stop)

    async def _follow(self, series: Series, read: Read, hold: Hold, stop: anyio.Event) -> None:
        position = await anyio.to_thread.run_sync(series.resume)
        held = False
        while True:
            try:
                if not held:
                    await hold(position)
                    held = True
                found = await read(after=position, limit=_BATCH)
                if found:
                    await anyio.to_thread.run_sync(series.append, found)
                    position = found[-1].position
                    await hold(position)
                    continue
                await hold(position)  # shows that this reader lives
            except BusBrokenError as error:
                logger.warning("archive: {}", error)
            if stop.is_set():
                await anyio.to_thread.run_sync(series.close)
                return
            await anyio.to_thread.run_sync(series.close_if_old)
            with anyio.move_on_after(_POLL_SECONDS):
                await stop.wait()
