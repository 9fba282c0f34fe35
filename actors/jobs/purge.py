"""Purging deleted folders."""

from __future__ import annotations

from typing import Final

from loguru import logger

from actors.jobs.contract import PurgeJob
from actors.jobs.observer import SILENT, JobObserver
from actors.jobs.running import Progress, RunningTask
from backends.contract import Volume
from bus.contract import Bus
from domain.commands import FinishPurge
from domain.errors import ConflictError, FencedError
from domain.tasks import TaskKind, TaskState, task_record

#: An end that was set aside is told again so often, in seconds.
_AGAIN_SECONDS: Final = 3600.0


async def purge(job: PurgeJob, volume: Volume, bus: Bus, observer: JobObserver = SILENT) -> None:
    """Remove what a trash entry holds, step by step, and tell the volume's actor when nothing is left.

    Repeat-safe: twins find each other by the lease; a job killed half-way is begun again by the next look
    through the trash; the command at the end has an id that follows from the trash entry's and the hour.
    """
    try:
        async with bus.leases.hold(job.lease, wait_seconds=0) as lease:
            with observer.doing(TaskKind.DELETE_FILES if job.files else TaskKind.DELETE_FOLDER) as ended:
                task = RunningTask(job.trash, job.volume, bus, lease, is_cancellable=False)
                removed = await _remove(job, volume, task)
                if removed is None:
                    logger.debug("trash {} is not there any more", job.trash)
                    return
                ended(TaskState.DONE)
    except (ConflictError, FencedError):
        logger.debug("trash {} is being purged by another worker", job.trash)
        return
    command = FinishPurge(folder=job.folder, trash=job.trash, entries=removed, files=job.files)
    # Whoever finishes first is heard; others are repetitions.
    await task.send(command, str(int(bus.clock.now() // _AGAIN_SECONDS)))


async def _remove(job: PurgeJob, volume: Volume, task: RunningTask) -> int | None:
    """Remove all of it; returns how many entries there were, as far as that was told. None: it is not there."""
    removed = await _removed_before(job, task.bus)
    finished = False
    while not finished:
        await task.step(Progress(items=removed))
        step = await volume.purge(job.trash)
        if step.gone:
            return None
        removed += step.removed
        finished = step.finished
    return removed


async def _removed_before(job: PurgeJob, bus: Bus) -> int:
    """What workers before this one have told of it."""
    (fields,) = await bus.catalogue.fields([task_record(job.trash)])
    return int((fields or {}).get("items", 0))
