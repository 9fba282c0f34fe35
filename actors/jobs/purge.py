"""Purging deleted folders."""

from __future__ import annotations

from loguru import logger

from actors.jobs.contract import PurgeJob
from actors.jobs.running import derived_id
from backends.contract import Volume
from bus.contract import Bus
from domain.commands import FinishPurge
from domain.envelope import Origin, wrap_command
from domain.errors import ConflictError, FencedError


async def purge(job: PurgeJob, volume: Volume, bus: Bus) -> None:
    """Remove what a trash entry holds, step by step, and tell the volume's actor when nothing is left.

    Repeat-safe: twins find each other by the lease; a job killed half-way is begun again by the next look
    through the trash; the command at the end has an id that follows from the trash entry's.
    """
    try:
        async with bus.leases.hold(job.lease, wait_seconds=0) as lease:
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
            # Whoever finishes first is heard; others are repetitions.
            id=derived_id(job.trash, "purge.finish"),
            volume=job.volume,
            time=bus.clock.now(),
            origin=Origin(actor="worker", cause=job.trash),
        )
    )
