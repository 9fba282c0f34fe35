"""Doing the jobs that come from the queue."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from loguru import logger

from actors.jobs.clone import clone
from actors.jobs.contract import CloneJob, PurgeJob, WorkJob
from actors.jobs.observer import JobObserver
from actors.jobs.purge import purge
from actors.jobs.work import do_work
from backends.contract import Volume
from bus.contract import Bus
from domain.errors import PenstockError
from domain.ids import VolumeName

Message = Mapping[str, Any]


class Jobs:
    """The jobs of one worker process."""

    def __init__(self, volumes: Mapping[VolumeName, Volume], bus: Bus, observer: JobObserver) -> None:
        self._volumes = volumes
        self._bus = bus
        self._observer = observer
        #: What is done with each kind of message.
        self.by_name: Final[Mapping[str, Callable[[Message], Awaitable[None]]]] = {
            PurgeJob.name: self._purge,
            CloneJob.name: self._clone,
            WorkJob.name: self._work,
        }

    async def _purge(self, message: Message) -> None:
        job = PurgeJob.model_validate(dict(message))
        volume = self._volumes.get(job.volume)
        if volume is None:
            logger.warning("volume {} is not configured here; its trash {} stays", job.volume, job.trash)
            return
        with logger.contextualize(operation="purge", vfolder_id=str(job.folder), backend=volume.backend):
            await _told(f"purging {job.trash}", purge(job, volume, self._bus, self._observer))

    async def _clone(self, message: Message) -> None:
        job = CloneJob.model_validate(dict(message))
        with logger.contextualize(operation="clone", task=str(job.build), volume=job.volume):
            await _told(f"clone {job.build}", clone(job, self._volumes, self._bus, self._observer))

    async def _work(self, message: Message) -> None:
        job = WorkJob.model_validate(dict(message))
        with logger.contextualize(operation="work", task=str(job.work), volume=job.volume):
            await _told(f"task {job.work}", do_work(job, self._volumes, self._bus, self._observer))


async def _told(what: str, work: Awaitable[None]) -> None:
    try:
        await work
    except PenstockError as error:
        logger.warning("{} waits: {}", what, error)
