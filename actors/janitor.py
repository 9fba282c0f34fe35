"""Looks through a volume's trash and its builds, and has workers purge the one and go on with the other.

The volume itself has the list of what is to do: nothing is forgotten when a process dies between taking a command
and starting the job. Jobs can be lost or fail, so what is still there is asked for again; but ever more rarely, so
that the queue does not grow much while no worker takes from it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import anyio
from loguru import logger

from actors.jobs.contract import CloneJob, JobQueue, PurgeJob
from backends.contract import Volume
from backends.powers import BuildsFolders
from bus.contract import Outcome
from domain.errors import PenstockError
from domain.events import CloneAbandoned, CloneAccepted, FileDeleted, VFolderDeleted, VFolderPurgeRequested

#: Longest time between two jobs for the same trash entry, in seconds.
_RAREST_SECONDS: Final = 3600.0
#: And for the same build: somebody waits for it, and a job that finds another one at it ends at once.
_RAREST_BUILD_SECONDS: Final = 60.0
#: After these there is something to do.
_WAKING: Final = frozenset(
    {
        VFolderDeleted.type,
        VFolderPurgeRequested.type,
        FileDeleted.type,
        CloneAccepted.type,
        CloneAbandoned.type,
    }
)


@dataclass(slots=True)
class _Asked:
    """Something for which a job was started."""

    again: float
    pause: float


class Janitor:
    """Starts jobs for one volume.

    Args:
        interval_seconds: how often it looks, if nothing wakes it.
        trash_seconds: how long deleted folders are kept for whoever wants them back.
    """

    def __init__(self, volume: Volume, jobs: JobQueue, interval_seconds: float, trash_seconds: float = 0.0) -> None:
        self._volume = volume
        self._jobs = jobs
        self._interval = interval_seconds
        self._trash_seconds = trash_seconds
        self._wake = anyio.Event()
        self._asked: dict[UUID, _Asked] = {}

    def committed(self, outcomes: Sequence[Outcome]) -> None:
        """Look soon if there is something to do."""
        if any(event.type in _WAKING for outcome in outcomes for event in outcome.events):
            self._wake.set()

    async def run(self) -> None:
        """Look for ever."""
        while True:
            self._wake = anyio.Event()
            try:
                await self._look()
            except PenstockError as error:
                logger.warning("looking for what is to do on {}: {}", self._volume.name, error)
            with anyio.move_on_after(self._interval):
                await self._wake.wait()

    async def _look(self) -> None:
        name = self._volume.name
        entries = await self._volume.trash()
        builds = await self._volume.builds() if isinstance(self._volume, BuildsFolders) else ()
        there = {entry.id for entry in entries} | {plan.id for plan in builds}
        self._asked = {id_: asked for id_, asked in self._asked.items() if id_ in there}
        for plan in builds:
            if self._is_time(plan.id, _RAREST_BUILD_SECONDS):
                await self._jobs.start_clone(CloneJob(volume=name, build=plan.id))
        for entry in entries:
            if not entry.doomed and time.time() < entry.time + self._trash_seconds:
                continue  # somebody may want it back
            if self._is_time(entry.id, _RAREST_SECONDS):
                job = PurgeJob(volume=name, folder=entry.folder, trash=entry.id, files=entry.files)
                await self._jobs.start_purge(job)

    def _is_time(self, id_: UUID, rarest: float) -> bool:
        """Whether a job is to be started now; the next one is not for some time."""
        now = anyio.current_time()
        asked = self._asked.setdefault(id_, _Asked(now, self._interval))
        if now < asked.again:
            return False
        asked.again = now + asked.pause
        asked.pause = min(rarest, 2 * asked.pause)
        return True
