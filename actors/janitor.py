"""Looks through a volume's trash and has workers purge what lies there.

The trash itself is the list of what is to do: nothing is forgotten when a process dies between deleting a
folder and starting the job. Jobs can be lost or fail, so what is still there is asked for again; but ever more
rarely, so that the queue does not grow much while no worker takes from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import anyio
from loguru import logger

from actors.jobs.contract import JobQueue, PurgeJob
from backends.contract import Volume
from bus.contract import Outcome
from domain.errors import PenstockError
from domain.events import VFolderDeleted

#: Longest time between two jobs for the same entry, in seconds.
_RAREST_SECONDS: Final = 3600.0


@dataclass(slots=True)
class _Asked:
    """A trash entry for which a job was started."""

    again: float
    pause: float


class Janitor:
    """Starts purge jobs for one volume."""

    def __init__(self, volume: Volume, jobs: JobQueue, interval_seconds: float) -> None:
        self._volume = volume
        self._jobs = jobs
        self._interval = interval_seconds
        self._wake = anyio.Event()
        self._asked: dict[UUID, _Asked] = {}

    def committed(self, outcomes: Sequence[Outcome]) -> None:
        """Look soon if something was deleted."""
        if any(event.type == VFolderDeleted.type for outcome in outcomes for event in outcome.events):
            self._wake.set()

    async def run(self) -> None:
        """Look for ever."""
        while True:
            self._wake = anyio.Event()
            try:
                await self._look()
            except PenstockError as error:
                logger.warning("looking through the trash of {}: {}", self._volume.name, error)
            with anyio.move_on_after(self._interval):
                await self._wake.wait()

    async def _look(self) -> None:
        entries = await self._volume.trash()
        there = {entry.id for entry in entries}
        self._asked = {id_: asked for id_, asked in self._asked.items() if id_ in there}
        now = anyio.current_time()
        for entry in entries:
            asked = self._asked.setdefault(entry.id, _Asked(now, self._interval))
            if now < asked.again:
                continue
            await self._jobs.start_purge(PurgeJob(volume=self._volume.name, folder=entry.folder, trash=entry.id))
            asked.again = now + asked.pause
            asked.pause = min(_RAREST_SECONDS, 2 * asked.pause)
