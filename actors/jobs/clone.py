"""Copying folders, from volume to volume or inside one."""

from __future__ import annotations

import secrets
from collections.abc import Mapping

from loguru import logger

from actors.jobs.contract import CloneJob
from actors.jobs.copying import Copying, names_of
from actors.jobs.migration import migrate
from actors.jobs.observer import SILENT, JobObserver
from actors.jobs.running import GivenUp, RunningTask, attempt
from backends.contract import Volume
from backends.powers import BuildPlan, BuildsFolders
from bus.contract import Bus
from domain.commands import AbandonClone, AbandonMigration, FinishClone
from domain.errors import ConflictError, FencedError
from domain.ids import VolumeName
from domain.tasks import TaskKind, TaskState


async def clone(
    job: CloneJob, volumes: Mapping[VolumeName, Volume], bus: Bus, observer: JobObserver = SILENT
) -> None:
    """Copy what a build asks for, and tell the volume's actor when all of it is there, or will not be.

    Repeat-safe: twins find each other by the lease, and one that has lost it without knowing writes nowhere; a job
    killed half-way is begun again by the next look at the volume's builds and goes on where it was.

    Raises:
        BusError, BackendUnavailableError, BusyError: not now; the next look begins it again.
    """
    volume = volumes.get(job.volume)
    if not isinstance(volume, BuildsFolders):
        logger.warning("volume {} is not configured here; clone {} waits", job.volume, job.build)
        return
    try:
        async with bus.leases.hold(job.lease, wait_seconds=0) as lease:
            plan = next((plan for plan in await volume.builds() if plan.id == job.build), None)
            if plan is None:
                logger.debug("clone {} is not there", job.build)
                return
            task = RunningTask(job.build, job.volume, bus, lease)
            source = volumes.get(plan.source_volume)
            if source is None:
                logger.warning("volume {} is not configured here; clone {} waits", plan.source_volume, job.build)
                await _end_if_cancelled(plan, task)
                return
            copying = Copying(plan, source, volumes[job.volume], volume, task)
            with observer.doing(TaskKind.MIGRATE if plan.moves else TaskKind.CLONE) as ended:
                state = await (migrate(copying) if plan.moves else _clone(copying))
                if state is not None:
                    ended(state)
    except (ConflictError, FencedError):
        logger.debug("clone {} is being done by another worker", job.build)


async def _end_if_cancelled(plan: BuildPlan, task: RunningTask) -> None:
    """Give up what nobody wants any more: that may be because there is nobody who could do it."""
    end = await attempt(task.check_cancelled())
    if isinstance(end, GivenUp):
        command = AbandonMigration if plan.moves else AbandonClone
        await task.send(command(**names_of(plan), task=task.id, **end.reason), secrets.token_hex(16))


async def _clone(copying: Copying) -> TaskState | None:
    """Copy, and say how it ended; None: somebody else has brought it to its end."""
    task = copying.task
    end = await attempt(_copied(copying))
    if end is None:
        return None
    await task.lease.confirm()
    if isinstance(end, GivenUp):
        await task.send(AbandonClone(**copying.names, task=task.id, **end.reason), copying.attempt)
        return end.state
    await task.send(end, copying.attempt)
    return TaskState.DONE


async def _copied(copying: Copying) -> FinishClone:
    task = copying.task
    await task.check_cancelled()
    await copying.count()
    copy = await copying.from_place()
    await task.check_cancelled()
    return FinishClone(
        **copying.names,
        task=task.id,
        attempt=copying.attempt,
        entries=copy.items,
        size_bytes=copy.size_bytes,
        changed=list(copy.changed),
    )
