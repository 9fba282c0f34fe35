"""Purging deleted folders."""

from __future__ import annotations

import hashlib
from uuid import UUID

from loguru import logger

from actors.jobs.contract import PurgeJob
from backends.contract import Volume
from bus.contract import Bus
from domain.commands import FinishPurge
from domain.envelope import Origin, wrap_command
from domain.errors import ConflictError, FencedError
from domain.ids import uuid7


async def purge(job: PurgeJob, volume: Volume, bus: Bus) -> None:
    """Remove what a trash entry holds, step by step, and tell the volume's actor when nothing is left.

    Repeat-safe: twins find each other by the lease; a job killed half-way is begun again by the next look
    through the trash; the command at the end has an id that follows from the trash entry's.
    """
    try:
        async with bus.leases.hold(f"job:purge:{job.trash}", wait_seconds=0) as lease:
            removed = 0
            finished = False
            while not finished:
                await lease.confirm()
                step = await volume.purge(job.trash)
                removed += step.removed
                finished = step.finished
    except (ConflictError, FencedError):
        logger.debug("trash {} is being purged by another worker", job.trash)
        return
    command = FinishPurge(folder=job.folder, trash=job.trash, entries=removed, files=job.files)
    await bus.commands.publish(
        wrap_command(
            command,
            id=_finish_id(job),
            volume=job.volume,
            time=bus.clock.now(),
            origin=Origin(actor="worker", cause=job.trash),
        )
    )


def _finish_id(job: PurgeJob) -> UUID:
    """Always the same for the same trash entry: whoever finishes first is heard, others are repetitions."""
    digest = hashlib.sha256(job.trash.bytes + b"purge.finish").digest()
    return uuid7(job.trash.int >> 80, digest)
