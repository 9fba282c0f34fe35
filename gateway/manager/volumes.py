"""Volumes: which there are, and how they are."""

from __future__ import annotations

from datetime import UTC, datetime

from aiohttp import web

from backends.contract import Volume
from backends.powers import Mountable, ReportsMetrics, capabilities
from domain.errors import Subject, UnsupportedError
from gateway.gate import Gate
from gateway.parameters import Parameters, Text


class VolumeParameters(Parameters):
    """Names a volume."""

    volume: Text


class VolumeRoutes:
    """`/volumes`, `/volume/hwinfo`, `/volume/performance-metric`, `/folder/fs-usage`."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    def routes(self) -> list[web.RouteDef]:
        """What this serves."""
        return [
            web.get("/volumes", self.volumes, allow_head=False),
            web.get("/volume/hwinfo", self.hwinfo, allow_head=False),
            web.get("/volume/performance-metric", self.performance_metric, allow_head=False),
            web.get("/folder/fs-usage", self.fs_usage, allow_head=False),
        ]

    async def volumes(self, request: web.Request) -> web.Response:
        """List the volumes."""
        del request
        return web.json_response({"volumes": [_told(volume) for volume in self._gate.volumes.values()]})

    async def hwinfo(self, request: web.Request) -> web.Response:
        """Tell a volume's health."""
        parameters = await self._gate.body(request, VolumeParameters)
        health = await self._gate.volume(parameters.volume).health()
        return web.json_response(
            {"status": health.status, "status_info": health.info, "metadata": dict(health.metadata)}
        )

    async def performance_metric(self, request: web.Request) -> web.Response:
        """Tell what a volume's storage measures of itself."""
        parameters = await self._gate.body(request, VolumeParameters)
        volume = self._gate.volume(parameters.volume)
        if not isinstance(volume, ReportsMetrics):
            raise UnsupportedError(f"backend {volume.backend} measures nothing", subject=Subject.VOLUME)
        observed = datetime.now(UTC).isoformat()
        return web.json_response({"metric": dict(await volume.metrics()), "observed_at": observed})

    async def fs_usage(self, request: web.Request) -> web.Response:
        """Tell the size of a volume's file system."""
        parameters = await self._gate.body(request, VolumeParameters)
        capacity = await self._gate.volume(parameters.volume).capacity()
        return web.json_response({"capacity_bytes": capacity.total_bytes, "used_bytes": capacity.used_bytes})


def _told(volume: Volume) -> dict[str, object]:
    return {
        "name": volume.name,
        "backend": volume.backend,
        "path": volume.mount_path if isinstance(volume, Mountable) else "",
        "fsprefix": ".",
        "capabilities": capabilities(volume),
    }
