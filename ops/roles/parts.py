"""What every role is made of: volumes, bus, and how they are."""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import uuid4

import anyio
from prometheus_client import CollectorRegistry

from backends.contract import Volume
from backends.registry import open_volumes
from bus.contract import Bus
from bus.streams import open_streams_bus
from domain.ids import VolumeName
from ops.generations import Turn
from ops.health import Health
from ops.metrics import BackendMetrics, BusMetrics
from ops.reload import follow_settings
from ops.settings import Settings
from ops.version import VERSION


@dataclass(frozen=True, slots=True)
class Parts:
    """What every role needs."""

    settings: Settings
    registry: CollectorRegistry
    #: Of what is called on storage.
    observer: BackendMetrics
    bus: Bus
    volumes: Mapping[VolumeName, Volume]
    health: Health
    turn: Turn


@asynccontextmanager
async def opened(settings: Settings, role: str, turn: Turn) -> AsyncIterator[Parts]:
    """Open volumes and bus, in this order, and close them in the other; listen for changes of the settings."""
    registry = CollectorRegistry()
    observer = BackendMetrics(registry)
    node = f"{socket.gethostname()}.{role}.{os.getpid()}.{uuid4().hex[:8]}"
    async with (
        open_volumes(settings.volumes, observer) as volumes,
        open_streams_bus(settings.bus, node, BusMetrics(registry)) as bus,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(follow_settings, bus, turn.renew)
        yield Parts(settings, registry, observer, bus, volumes, Health(bus, volumes, VERSION), turn)
        tasks.cancel_scope.cancel()
