"""Doing what a volume has on its list of work."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from loguru import logger

from actors.jobs.contract import WorkJob
from actors.jobs.doing import Doing, Found
from actors.jobs.kinds.orphans import inspect
from actors.jobs.kinds.prune import prune
from actors.jobs.kinds.scan import scan
from actors.jobs.kinds.scrub import scrub
from actors.jobs.observer import SILENT, JobObserver
from actors.jobs.running import GivenUp, RunningTask, attempt
from backends.contract import Volume
from backends.powers import KeepsWork, Work
from bus.contract import Bus
from domain.errors import ConflictError, FencedError
from domain.ids import VolumeName
from domain.task_commands import AbandonTask, FinishTask
from domain.tasks import TaskKind, TaskState

KINDS: Final[Mapping[TaskKind, Callable[[Doing], Awaitable[Found]]]] = {
    TaskKind.SCAN: scan,
    TaskKind.INSPECT: inspect,
    TaskKind.SCRUB: scrub,
    TaskKind.PRUNE: prune,
}


async def do_work(
    job: WorkJob, volumes: Mapping[VolumeName, Volume], bus: Bus, observer: JobObserver = SILENT
) -> None:
    """Do it, from its last checkpoint on, and tell the volume's actor how it ended.

    Repeat-safe: twins find each other by the lease; a job killed half-way is begun again by the next look at the
    volume's list.

    Raises:
        BusError, BackendUnavailableError, BusyError: not now; the next look begins it again.
    """
    volume = volumes.get(job.volume)
    if not isinstance(volume, KeepsWork):
        logger.warning("volume {} is not configured here; task {} waits", job.volume, job.work)
        return
    try:
        async with bus.leases.hold(job.lease, wait_seconds=0) as lease:
            work = next((work for work in await volume.works() if work.id == job.work), None)
            if work is not None and work.kind in KINDS:
                task = RunningTask(work.id, job.volume, bus, lease)
                with observer.doing(work.kind) as ended:
                    state = await _do(Doing(work, volumes[job.volume], volume, task))
                    if state is not None:
                        ended(state)
    except (ConflictError, FencedError):
        logger.debug("task {} is being done by another worker", job.work)


async def _do(doing: Doing) -> TaskState | None:
    """Do it, and say how it ended; None: somebody else has brought it to its end."""
    work, task = doing.work, doing.task
    end = await attempt(_done(doing))
    if end is None:
        return None
    await task.lease.confirm()
    if isinstance(end, GivenUp):
        await task.send(AbandonTask(task=work.id, **end.reason), _attempt_name(work))
        return end.state
    await task.send(end, _attempt_name(work))
    return TaskState.DONE


async def _done(doing: Doing) -> FinishTask:
    await doing.task.check_cancelled()
    await doing.recover()
    found = await KINDS[doing.work.kind](doing)
    return FinishTask(task=doing.work.id, items=found.items, size_bytes=found.size_bytes, result=dict(found.result))


def _attempt_name(work: Work) -> str:
    """Another one each time: should the end of one attempt be set aside, the next one is heard."""
    return f"{work.kind}:{secrets.token_hex(8)}"
