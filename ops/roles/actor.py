"""The actor: owner of volumes."""

from __future__ import annotations

import anyio

from actors.fleet import Fleet
from ops.generations import Turn
from ops.jobs import JobSender, jobs_url, open_broker
from ops.metrics import ActorMetrics
from ops.roles.parts import opened
from ops.roles.ports import internal_port
from ops.settings import Settings
from ops.tracing import configured_spans


async def run(settings: Settings, turn: Turn) -> None:
    """Own volumes until its turn ends; then hand them over."""
    async with opened(settings, "actor", turn) as parts:
        broker = open_broker(jobs_url(settings))
        fleet = Fleet(
            bus=parts.bus,
            bus_settings=settings.bus,
            volumes=parts.volumes,
            jobs=JobSender(broker),
            settings=settings.actors,
            observer=ActorMetrics(parts.registry),
            spans=configured_spans("actor"),
        )
        async with internal_port(parts, settings.internal.actor) as health:
            with health.serving():
                await fleet.run(turn.stop)
        await anyio.to_thread.run_sync(broker.close)
