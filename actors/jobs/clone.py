"""Copying folders, from volume to volume or inside one."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from loguru import logger

from actors.jobs.contract import CloneJob
from actors.jobs.running import CancelledByWishError, Progress, RunningTask
from backends.contract import Volume
from backends.powers import BuildPlan, BuildsFolders, ShowsTrees
from bus.contract import Bus
from bus.usage import ScopeUsage
from domain.commands import AbandonClone, FinishClone
from domain.errors import (
    BackendUnavailableError,
    BusError,
    BusyError,
    ConflictError,
    FencedError,
    NotFoundError,
    PenstockError,
    QuotaExceededError,
    StorageFullError,
    Subject,
    UnsupportedError,
)
from domain.ids import VolumeName
from domain.usage import Usage

#: Age of a folder's count at which it is counted anew to judge a quota, in seconds.
_USAGE_MAX_AGE_SECONDS: Final = 300.0


async def clone(job: CloneJob, volumes: Mapping[VolumeName, Volume], bus: Bus) -> None:
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
            source = volumes.get(plan.source_volume) if plan is not None else None
            if plan is None or source is None:
                logger.debug("clone {} is not there, or its source is not configured here", job.build)
                return
            task = RunningTask(job.build, job.volume, bus, lease)
            await _Clone(plan, source, volumes[job.volume], volume, bus, task).run()
    except (ConflictError, FencedError):
        logger.debug("clone {} is being done by another worker", job.build)


@dataclass(slots=True)
class _Clone:
    """One attempt."""

    plan: BuildPlan
    source: Volume
    volume: Volume
    builder: BuildsFolders
    bus: Bus
    task: RunningTask
    attempt: str = field(default_factory=lambda: secrets.token_hex(16))

    async def run(self) -> None:
        """Copy, and say how it ended."""
        try:
            await self.task.check_cancelled()
            finish = await self._copy()
            await self.task.check_cancelled()
        except CancelledByWishError:
            await self._end(self._abandon(None))
        except (FencedError, BusError, BackendUnavailableError, BusyError):
            raise
        except PenstockError as error:
            if isinstance(error, NotFoundError) and error.subject is Subject.TASK:
                return  # the last attempt has come to its end, and is being put at its place
            await self._end(self._abandon(error))
        else:
            await self._end(finish)

    async def _copy(self) -> FinishClone:
        if not isinstance(self.source, ShowsTrees):
            message = f"folders cannot be copied from backend {self.source.backend}"
            raise UnsupportedError(message, subject=Subject.VFOLDER)
        total = await self.source.usage(self.plan.source, staging=False)
        await self._check_room(total)
        tree = await self.source.tree(self.plan.source)
        try:
            copy = await self.builder.copy_into(self.plan.id, self.attempt, tree)
            try:
                while not await copy.step():
                    await self.task.step(Progress(copy.items, total.entries, copy.size_bytes, total.file_bytes))
            finally:
                await copy.close()
        finally:
            await tree.close()
        return FinishClone(
            **self._names(),
            task=self.plan.id,
            attempt=self.attempt,
            entries=copy.items,
            size_bytes=copy.size_bytes,
            changed=list(copy.changed),
        )

    async def _check_room(self, total: Usage) -> None:
        """Refuse what cannot end well before anything is copied.

        Inside one volume bytes may be shared, so its room is not judged beforehand: a volume that fills up ends it.
        """
        if self.source.name != self.volume.name:
            capacity = await self.volume.capacity()
            free = capacity.total_bytes - capacity.used_bytes
            if total.allocated_bytes > free:
                message = f"{total.allocated_bytes} bytes are needed, {free} are free"
                raise StorageFullError(message, subject=Subject.VFOLDER)
        scope = self.plan.destination.scope
        limit = (await self.volume.quota(scope)).limit_bytes if scope is not None else None
        if scope is None or limit is None:
            return
        count = partial(self.volume.usage, staging=False)
        usage = ScopeUsage(self.bus.catalogue, self.bus.clock, self.volume.name, count, _USAGE_MAX_AGE_SECONDS)
        used = await usage.used_bytes(scope) + total.file_bytes
        if used > limit:
            message = f"{scope} would use {used} of {limit} bytes"
            raise QuotaExceededError(message, subject=Subject.QUOTA_SCOPE, limit_bytes=limit)

    def _abandon(self, error: PenstockError | None) -> AbandonClone:
        if error is None:
            return AbandonClone(**self._names(), task=self.plan.id)
        return AbandonClone(
            **self._names(), task=self.plan.id, code=error.code, retry=error.retry, detail=error.message
        )

    def _names(self) -> dict[str, Any]:
        return {
            "source": self.plan.source,
            "destination": self.plan.destination,
            "source_volume": self.plan.source_volume,
        }

    async def _end(self, command: FinishClone | AbandonClone) -> None:
        await self.task.lease.confirm()
        await self.task.send(command, self.attempt)
