"""Looks through a volume's trash and has workers purge what lies there.

The trash itself is the list of what is to do: nothing is forgotten when a process dies between deleting a
folder and starting the job.
"""

from __future__ import annotations

from collections.abc import Sequence

import anyio
from loguru import logger

from actors.jobs.contract import JobQueue, PurgeJob
from backends.contract import Volume
from bus.contract import Outcome
from domain.errors import PenstockError
from domain.events import VFolderDeleted


class Janitor:
    """Starts purge jobs for one volume."""

    def __init__(self, volume: Volume, jobs: JobQueue, interval_seconds: float) -> None:
        self._volume = volume
        self._jobs = jobs
        self._interval = interval_seconds
        self._wake = anyio.Event()

    def committed(self, outcomes: Sequence[Outcome]) -> None:
        """Look soon if something was deleted."""
        if any(event.type == VFolderDeleted.type for outcome in outcomes for event in outcome.events):
            self._wake.set()

    async def run(self) -> None:
        """Look for ever."""
        while True:
            self._wake = anyio.Event()
            try:
                for entry in await self._volume.trash():
                    job = PurgeJob(volume=self._volume.name, folder=entry.folder, trash=entry.id)
                    await self._jobs.start_purge(job)
            except PenstockError as error:
                logger.warning("looking through the trash of {}: {}", self._volume.name, error)
            with anyio.move_on_after(self._interval):
                await self._wake.wait()
