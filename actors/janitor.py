"""Has workers do what waits on a volume: purge its trash, go on with its builds, do what is on its list of work.

The volume itself has the list of what is to do: nothing is forgotten when a process dies between taking a command
and starting the job. Jobs can be lost or fail, so what is still there is asked for again; but ever more rarely, so
that the queue does not grow much while no worker takes from it.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Final
from uuid import UUID

import anyio
from loguru import logger

from actors.jobs.contract import CloneJob, Job, JobQueue, PurgeJob, WorkJob
from actors.jobs.settlement import settle_if_over
from actors.settings import ActorSettings
from actors.turns import GRACE_SECONDS, Pending, Turns
from backends.contract import TrashEntry, Volume
from backends.powers import BuildPlan, BuildsFolders, KeepsWork, Work
from bus.contract import Bus, Outcome
from domain.errors import PenstockError
from domain.events import (
    CloneAbandoned,
    CloneAccepted,
    CloneCompleted,
    FileDeleted,
    FilesPurged,
    MigrationAbandoned,
    MigrationAccepted,
    VFolderDeleted,
    VFolderMigrated,
    VFolderPurged,
    VFolderPurgeRequested,
)
from domain.ids import VFolderId
from domain.task_events import TaskAbandoned, TaskAccepted, TaskCompleted

#: Longest time between two jobs for the same trash entry, in seconds.
_RAREST_SECONDS: Final = 3600.0
#: And for what somebody waits for: a job that finds another one at it ends at once.
_RAREST_AWAITED_SECONDS: Final = 60.0
#: After these there is something new to do.
_BEGINNING: Final = frozenset(
    {
        VFolderDeleted.type,
        VFolderPurgeRequested.type,
        FileDeleted.type,
        CloneAccepted.type,
        # What was copied of it is in the trash now.
        CloneAbandoned.type,
        TaskAccepted.type,
        MigrationAccepted.type,
        MigrationAbandoned.type,
        # It may have put something into the trash.
        TaskCompleted.type,
    }
)
#: After these something is done, and another thing can be begun; and which field says what it was.
_ENDING: Final[Mapping[str, str]] = {
    VFolderPurged.type: "trash",
    FilesPurged.type: "trash",
    CloneCompleted.type: "task",
    CloneAbandoned.type: "task",
    VFolderMigrated.type: "task",
    MigrationAbandoned.type: "task",
    TaskCompleted.type: "task",
    TaskAbandoned.type: "task",
}


class Janitor:
    """Starts jobs for one volume."""

    def __init__(self, volume: Volume, jobs: JobQueue, bus: Bus, settings: ActorSettings) -> None:
        self._volume = volume
        self._jobs = jobs
        self._bus = bus
        self._interval = settings.purge_interval_seconds
        self._trash_seconds = settings.trash_seconds
        self._turns = Turns(settings.jobs_at_once, self._interval)
        self._wake = anyio.Event()
        self._pending: dict[UUID, Pending] = {}
        #: When all of it is looked up anew.
        self._stale = 0.0

    def committed(self, outcomes: Sequence[Outcome]) -> None:
        """Look soon if there is something new, or room for what waits."""
        for event in (event for outcome in outcomes for event in outcome.events):
            if event.type in _BEGINNING:
                self._stale = 0.0
                self._wake.set()
            if event.type in _ENDING and (ended := event.body.get(_ENDING[event.type])):
                self._pending.pop(UUID(str(ended)), None)
                self._wake.set()

    async def run(self) -> None:
        """Look for ever."""
        while True:
            self._wake = anyio.Event()
            try:
                await self._look()
            except PenstockError as error:
                logger.warning("looking for what is to do on {}: {}", self._volume.name, error)
            pause = min(self._interval, GRACE_SECONDS) if self._pending else self._interval
            with anyio.move_on_after(pause):
                await self._wake.wait()

    async def _look(self) -> None:
        if anyio.current_time() >= self._stale:
            self._stale = anyio.current_time() + self._interval
            found = await self._find()
            self._pending = {item.id: item for item in found}
            self._turns.forget_others(self._pending)
        now = anyio.current_time()
        doubtful = self._turns.doubtful(self._pending.values(), now)
        held = await self._bus.leases.held([item.lease for item in doubtful])
        alive = {item.id for item, is_held in zip(doubtful, held, strict=True) if is_held}
        left = deque(self._turns.pick(self._pending.values(), alive, now))
        try:
            while left:
                await left[0].start()
                left.popleft()
        except PenstockError:  # the queue is away: what is not in it does not wait as if it were
            self._turns.not_started(item.id for item in left)
            raise

    async def _find(self) -> list[Pending]:
        """All that waits on the volume."""
        volume = self._volume
        entries = await volume.trash()
        for entry in entries:
            await settle_if_over(self._bus, entry, volume.name)
        found = list(self._purges([entry for entry in entries if entry.held is None]))
        if isinstance(volume, BuildsFolders):
            found += [self._build(plan) for plan in await volume.builds()]
        if isinstance(volume, KeepsWork):
            found += [self._work(work) for work in await volume.works()]
        return found

    def _purges(self, entries: Sequence[TrashEntry]) -> Iterator[Pending]:
        for entry in entries:
            if not entry.doomed and time.time() < entry.time + self._trash_seconds:
                continue  # somebody may want it back
            job = PurgeJob(volume=self._volume.name, folder=entry.folder, trash=entry.id, files=entry.files)
            yield self._job(job, entry.folder, _RAREST_SECONDS)

    def _build(self, plan: BuildPlan) -> Pending:
        job = CloneJob(volume=self._volume.name, build=plan.id)
        return self._job(job, plan.destination, _RAREST_AWAITED_SECONDS)

    def _work(self, work: Work) -> Pending:
        return self._job(WorkJob(volume=self._volume.name, work=work.id), work.folder, _RAREST_AWAITED_SECONDS)

    def _job(self, job: Job, folder: VFolderId | None, rarest_seconds: float) -> Pending:
        return Pending(job.id, _tenant(folder), job.lease, partial(self._jobs.start, job), rarest_seconds)


def _tenant(folder: VFolderId | None) -> str:
    return str(folder.scope) if folder is not None and folder.scope is not None else ""
