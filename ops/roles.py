"""What each kind of process does, from its first connection to its last."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from ssl import SSLContext
from typing import Any
from uuid import uuid4

import anyio
import dramatiq
from aiohttp import web
from anyio.from_thread import BlockingPortal
from loguru import logger
from prometheus_client import CollectorRegistry
from redis.asyncio import Redis

from actors.fleet import Fleet
from backends.contract import Volume
from backends.powers import Mountable
from backends.registry import open_volumes
from bus.backendai.bridge import Bridge
from bus.backendai.mounts import MountPrograms, Mounts
from bus.contract import Bus
from bus.streams import open_streams_bus
from domain.errors import InvalidRequestError
from domain.ids import VolumeName
from gateway.app import client_app, manager_app, server_options
from gateway.express.downloads import ExpressDownloads
from gateway.express.handler import Protocols, express_protocols
from gateway.gate import build_gate
from gateway.settings import Listen
from gateway.uploads.sweeper import sweep_for_ever
from ops.archive.archive import Archive, Archiver
from ops.generations import Turn
from ops.health import Health, HealthRoutes
from ops.jobs import JobSender, declare, jobs_url, open_broker
from ops.metrics import ActorMetrics, BackendMetrics, BusMetrics, GatewayMetrics, WorkerMetrics
from ops.reload import follow_settings
from ops.settings import Settings
from ops.tls import server_context
from ops.tracing import configured_spans
from ops.version import VERSION
from ops.worker import Jobs

#: Connections that may wait to be accepted on each port.
_BACKLOG = 1024


@dataclass(frozen=True, slots=True)
class Parts:
    """What every role needs."""

    settings: Settings
    registry: CollectorRegistry
    bus: Bus
    volumes: Mapping[VolumeName, Volume]
    health: Health
    turn: Turn


@asynccontextmanager
async def opened(settings: Settings, role: str, turn: Turn) -> AsyncIterator[Parts]:
    """Open volumes and bus, in this order, and close them in the other; listen for changes of the settings."""
    registry = CollectorRegistry()
    node = f"{socket.gethostname()}.{role}.{os.getpid()}.{uuid4().hex[:8]}"
    async with (
        open_volumes(settings.volumes, BackendMetrics(registry)) as volumes,
        open_streams_bus(settings.bus, node, BusMetrics(registry)) as bus,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(follow_settings, bus, turn.renew)
        yield Parts(settings, registry, bus, volumes, Health(bus, volumes, VERSION), turn)
        tasks.cancel_scope.cancel()


async def run_gateway(settings: Settings, turn: Turn) -> None:
    """Serve both ports until its turn ends; then let running requests end."""
    async with opened(settings, "gateway", turn) as parts:
        gate = build_gate(
            parts.bus,
            parts.volumes,
            settings.gateway,
            settings.bus.upload_lease_seconds,
            GatewayMetrics(parts.registry),
            VERSION,
            parts.health.document,
            configured_spans("gateway"),
        )
        options = server_options()
        options["shutdown_timeout"] = settings.gateway.stop_seconds
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(gate.uploads.opened.run)
            tasks.start_soon(sweep_for_ever, gate.uploads, settings.gateway.sweep_seconds)
            tasks.start_soon(gate.quotas.limits.follow)
            tasks.start_soon(gate.counts.run)
            async with (
                internal_port(parts, settings.internal.gateway) as health,
                port(client_app(gate), settings.gateway.client, options, ExpressDownloads.offered(gate)),
                port(manager_app(gate), settings.gateway.manager, options),
            ):
                logger.info(
                    "serving clients on port {}, the manager on port {}",
                    settings.gateway.client.port,
                    settings.gateway.manager.port,
                )
                with health.serving():
                    await turn.stop.wait()
                gate.stopping.set()
            tasks.cancel_scope.cancel()


async def run_actor(settings: Settings, turn: Turn) -> None:
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


async def run_worker(settings: Settings, turn: Turn) -> None:
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


async def run_bridge(settings: Settings, turn: Turn) -> None:
    """Carry events to Backend.AI's manager, and answer its wishes for mounts, until its turn ends.

    Raises:
        InvalidRequestError: it is not said where Backend.AI's Redis is.
    """
    wanted = settings.backendai
    if wanted.url is None:
        raise InvalidRequestError("backendai.url is needed: there is nobody to carry events to")
    programs = MountPrograms(wanted.mount_program, wanted.unmount_program, wanted.mount_seconds)
    async with opened(settings, "bridge", turn) as parts, internal_port(parts, settings.internal.bridge) as health:
        places = {str(name): Path(v.mount_path) for name, v in parts.volumes.items() if isinstance(v, Mountable)}
        seconds = settings.bus.command_timeout_seconds
        peer = Redis.from_url(wanted.url.get_secret_value(), socket_timeout=seconds, socket_connect_timeout=seconds)
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(Bridge(parts.bus, peer, wanted.source).run)
                tasks.start_soon(Mounts(peer, wanted.source, places, programs).run)
                with health.serving():
                    await turn.stop.wait()
                tasks.cancel_scope.cancel()
        finally:
            with anyio.CancelScope(shield=True):
                await peer.aclose()


async def run_archive(settings: Settings, turn: Turn, *, directory: Path, once: bool) -> None:
    """Follow the streams into an archive until its turn ends."""
    node = f"{socket.gethostname()}.archive.{os.getpid()}"
    async with open_streams_bus(settings.bus, node) as bus:
        turn.serves()
        archiver = Archiver(bus, Archive(directory), list(settings.volumes))
        if once:
            turn.stop.set()
        await archiver.run(turn.stop)


def _from_thread(portal: BlockingPortal, do: Callable[[Mapping[str, Any]], Awaitable[None]]) -> Callable[..., None]:
    """A job as the job runner calls it, on one of its threads."""

    def run(**message: Any) -> None:
        portal.call(do, message)

    return run


@asynccontextmanager
async def internal_port(parts: Parts, listen: Listen) -> AsyncIterator[HealthRoutes]:
    """Answer about this process, which says when it is serving."""
    routes = HealthRoutes(parts.registry, parts.health, parts.turn.serves)
    async with port(routes.app(), listen, {"access_log": None}):
        yield routes


@asynccontextmanager
async def port(
    app: web.Application, listen: Listen, options: Mapping[str, Any], express: ExpressDownloads | None = None
) -> AsyncIterator[None]:
    """Serve an application; several processes may serve the same port (SO_REUSEPORT).

    Args:
        express: who answers what it can before the application is asked.
    """
    context = await anyio.to_thread.run_sync(server_context, listen)
    runner = web.AppRunner(app, **options)
    await runner.setup()
    server = runner.server
    if server is None:
        raise RuntimeError("a runner that was set up has a server")
    try:
        protocols = express_protocols(server, express, options) if express else server
        async with _listening(protocols, listen, context):
            yield
    finally:
        with anyio.CancelScope(shield=True):
            await runner.cleanup()


@asynccontextmanager
async def _listening(protocols: Protocols, listen: Listen, context: SSLContext | None) -> AsyncIterator[None]:
    server = await asyncio.get_running_loop().create_server(
        protocols, listen.host, listen.port, reuse_port=True, backlog=_BACKLOG, ssl=context
    )
    try:
        yield
    finally:
        server.close()  # running requests go on
