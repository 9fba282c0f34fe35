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
from actors.jobs.running import CancelledByWishError, RunningTask, as_failure
from backends.contract import Volume
from backends.powers import KeepsWork, Work
from bus.contract import Bus
from domain.errors import (
    BackendUnavailableError,
    BusError,
    BusyError,
    ConflictError,
    FencedError,
)
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
                    ended(await _attempt(Doing(work, volumes[job.volume], volume, task)))
    except (ConflictError, FencedError):
        logger.debug("task {} is being done by another worker", job.work)


async def _attempt(doing: Doing) -> TaskState:
    """Do it, and say how it ended."""
    work, task, state = doing.work, doing.task, TaskState.DONE
    await doing.recover()
    try:
        await task.check_cancelled()
        found = await KINDS[work.kind](doing)
        end: FinishTask | AbandonTask = FinishTask(
            task=work.id, items=found.items, size_bytes=found.size_bytes, result=dict(found.result)
        )
    except CancelledByWishError:
        end, state = AbandonTask(task=work.id), TaskState.CANCELLED
    except (BusError, BackendUnavailableError, BusyError):
        raise
    except Exception as error:  # noqa: BLE001  what fails by a defect would fail again for ever
        failure, state = as_failure(error), TaskState.FAILED
        end = AbandonTask(task=work.id, code=failure.code, retry=failure.retry, detail=failure.message)
    await task.lease.confirm()
    await task.send(end, _attempt_name(work))
    return state


def _attempt_name(work: Work) -> str:
    """Another one each time: should the end of one attempt be set aside, the next one is heard."""
    return f"{work.kind}:{secrets.token_hex(8)}"
