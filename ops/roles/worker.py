"""The worker: long jobs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import anyio
import dramatiq
from anyio.from_thread import BlockingPortal

from ops.generations import Turn
from ops.jobs import declare, jobs_url, open_broker
from ops.metrics import WorkerMetrics
from ops.roles.parts import opened
from ops.roles.ports import internal_port
from ops.settings import Settings
from ops.worker import Jobs


async def run(settings: Settings, turn: Turn) -> None:
    """Do jobs until its turn ends; one that is cut short is begun again by whoever looks next."""
    async with (
        opened(settings, "worker", turn) as parts,
        internal_port(parts, settings.internal.worker) as health,
        BlockingPortal() as portal,
    ):
        broker = open_broker(jobs_url(settings))

        jobs = Jobs(parts.volumes, parts.bus, WorkerMetrics(parts.registry))
        for name, do in jobs.by_name.items():
            declare(broker, name, _from_thread(portal, do))
        worker = dramatiq.Worker(broker, worker_threads=settings.worker.threads)
        await anyio.to_thread.run_sync(worker.start)
        try:
            with health.serving():
                await turn.stop.wait()
        finally:
            with anyio.CancelScope(shield=True):
                await portal.stop(cancel_remaining=True)
                await anyio.to_thread.run_sync(worker.stop)
                await anyio.to_thread.run_sync(broker.close)


def _from_thread(portal: BlockingPortal, do: Callable[[Mapping[str, Any]], Awaitable[None]]) -> Callable[..., None]:
    """A job as the job runner calls it, on one of its threads."""

    def run(**message: Any) -> None:
        portal.call(do, message)

    return run
