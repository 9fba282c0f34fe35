"""The gateway: clients and the manager over HTTP."""

from __future__ import annotations

import anyio
from loguru import logger

from backends.mounted.outside import open_outside
from gateway.app import client_app, manager_app, server_options
from gateway.connection import manager_connections
from gateway.express.handler import express
from gateway.gate import Storage, build_gate
from gateway.uploads.sweeper import sweep_for_ever
from ops.generations import Turn
from ops.metrics import GatewayMetrics
from ops.roles.parts import opened
from ops.roles.ports import internal_port, port
from ops.settings import Settings
from ops.tracing import configured_spans
from ops.version import VERSION


async def run(settings: Settings, turn: Turn) -> None:
    """Serve both ports until its turn ends; then let running requests end."""
    async with (
        opened(settings, "gateway", turn) as parts,
        open_outside(settings.gateway.unmanaged_paths, parts.observer) as outside,
    ):
        gate = build_gate(
            parts.bus,
            Storage(parts.volumes, outside),
            settings.gateway,
            settings.bus.upload_lease_seconds,
            GatewayMetrics(parts.registry),
            VERSION,
            parts.health.document,
            configured_spans("gateway"),
        )
        options = server_options()
        options["shutdown_timeout"] = settings.gateway.stop_seconds
        idle_seconds = settings.gateway.idle_seconds
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(gate.relays.run)
            tasks.start_soon(gate.uploads.opened.run)
            tasks.start_soon(sweep_for_ever, gate.uploads, settings.gateway.sweep_seconds)
            tasks.start_soon(gate.quotas.limits.follow)
            tasks.start_soon(gate.counts.run)
            async with (
                internal_port(parts, settings.internal.gateway) as health,
                port(
                    client_app(gate), settings.gateway.client, options, express(gate, options), idle_seconds
                ) as client,
                port(
                    manager_app(gate),
                    settings.gateway.manager,
                    options,
                    manager_connections(gate.version, options),
                    idle_seconds,
                ) as manager,
            ):
                logger.info("serving clients on port {}, the manager on port {}", client, manager)
                with health.serving():
                    await turn.stop.wait()
                gate.stopping.set()
            tasks.cancel_scope.cancel()
