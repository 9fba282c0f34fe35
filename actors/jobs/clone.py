"""Copying folders, from volume to volume or inside one."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final
from uuid import UUID

import anyio
from loguru import logger

from actors.jobs.contract import CloneJob
from backends.contract import Volume
from backends.powers import BuildPlan, BuildsFolders, ShowsTrees, TreeCopy
from bus.contract import Bus, Lease
from bus.usage import ScopeUsage
from domain.commands import AbandonClone, FinishClone
from domain.envelope import Origin, wrap_command, wrap_event
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
from domain.events import TaskProgressed
from domain.ids import VolumeName, uuid7
from domain.tasks import task_record
from domain.usage import Usage

#: Least time between two events that tell how far a clone is, and between two looks whether it is cancelled.
_PROGRESS_SECONDS: Final = 1.0
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
        async with bus.leases.hold(f"job:clone:{job.build}", wait_seconds=0) as lease:
            plan = next((plan for plan in await volume.builds() if plan.id == job.build), None)
            source = volumes.get(plan.source_volume) if plan is not None else None
            if plan is None or source is None:
                logger.debug("clone {} is not there, or its source is not configured here", job.build)
                return
            await _Clone(plan, source, volumes[job.volume], volume, bus, lease).run()
    except (ConflictError, FencedError):
        logger.debug("clone {} is being done by another worker", job.build)


class _CancelledError(Exception):
    """Somebody wants the clone to end."""


@dataclass(slots=True)
class _Clone:
    """One attempt."""

    plan: BuildPlan
    source: Volume
    volume: Volume
    builder: BuildsFolders
    bus: Bus
    lease: Lease
    attempt: str = field(default_factory=lambda: secrets.token_hex(16))
    #: When somebody was last told how far it is, and when it was last looked whether it is cancelled.
    looked: float = 0.0

    async def run(self) -> None:
        """Copy, and say how it ended."""
        try:
            await self._check_cancelled()
            finish = await self._copy()
            await self._check_cancelled()
        except _CancelledError:
            await self._send(self._abandon(None))
        except (FencedError, BusError, BackendUnavailableError, BusyError):
            raise
        except PenstockError as error:
            if isinstance(error, NotFoundError) and error.subject is Subject.TASK:
                return  # the last attempt has come to its end, and is being put at its place
            await self.lease.confirm()
            await self._send(self._abandon(error))
        else:
            await self.lease.confirm()
            await self._send(finish)

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
                    await self.lease.confirm()
                    await self._tell(copy, total)
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

    async def _tell(self, copy: TreeCopy, total: Usage) -> None:
        if anyio.current_time() < self.looked + _PROGRESS_SECONDS:
            return
        await self._check_cancelled()
        event = TaskProgressed(
            volume=self.volume.name,
            task=self.plan.id,
            items=copy.items,
            items_total=total.entries,
            size_bytes=copy.size_bytes,
            size_bytes_total=total.file_bytes,
        )
        clock = self.bus.clock
        await self.bus.events.publish(wrap_event(event, id=clock.new_id(), time=clock.now(), origin=self._origin))

    async def _check_cancelled(self) -> None:
        self.looked = anyio.current_time()
        (fields,) = await self.bus.catalogue.fields([task_record(self.plan.id)])
        if fields is not None and fields.get("cancelling") == "1":
            raise _CancelledError

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

    async def _send(self, command: FinishClone | AbandonClone) -> None:
        clock = self.bus.clock
        id_ = _id(self.plan.id, f"{command.type}:{self.attempt}")
        await self.bus.commands.publish(
            wrap_command(command, id=id_, volume=self.volume.name, time=clock.now(), origin=self._origin)
        )

    @property
    def _origin(self) -> Origin:
        return Origin(actor="worker", cause=self.plan.id)


def _id(build: UUID, what: str) -> UUID:
    """Always the same for the same attempt and end of it."""
    return uuid7(build.int >> 80, hashlib.sha256(build.bytes + what.encode()).digest())
