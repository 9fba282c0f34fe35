"""The internal port: metrics, and whether this process lives, is ready, and what it depends on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final

import anyio
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry

from backends.contract import Volume
from bus.contract import Bus
from domain.errors import PenstockError
from domain.ids import VolumeName
from ops.metrics import exposition

#: How long one look at a dependency may take, in seconds.
_CHECK_SECONDS: Final = 5.0


class Health:
    """How what a process depends on is: Redis and its volumes."""

    def __init__(self, bus: Bus, volumes: Mapping[VolumeName, Volume], version: str) -> None:
        self._bus = bus
        self._volumes = volumes
        self._version = version

    async def document(self) -> dict[str, Any]:
        """All of it, in the form Backend.AI's operators know."""
        checks = await self.checks()
        healthy = all(check["is_healthy"] for check in checks)
        return {
            "status": "ok" if healthy else "degraded",
            "version": self._version,
            "component": "storage-proxy",
            "connectivity": {
                "overall_healthy": healthy,
                "connectivity_checks": checks,
                "timestamp": _now(),
            },
        }

    async def checks(self) -> list[dict[str, Any]]:
        """Look at each dependency."""
        found: list[dict[str, Any]] = []
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._check_bus, found)
            for volume in self._volumes.values():
                tasks.start_soon(self._check_volume, volume, found)
        return sorted(found, key=lambda check: (check["service_group"], check["component_id"]))

    async def _check_bus(self, found: list[dict[str, Any]]) -> None:
        message: str | None = "no answer in time"
        with anyio.move_on_after(_CHECK_SECONDS):
            try:
                await self._bus.members.view()
                message = None
            except PenstockError as error:
                message = error.message
        found.append(_check("redis", "bus", message))

    async def _check_volume(self, volume: Volume, found: list[dict[str, Any]]) -> None:
        message: str | None = "no answer in time"
        with anyio.move_on_after(_CHECK_SECONDS):
            try:
                await volume.capacity()
                message = None
            except PenstockError as error:
                message = error.message
        found.append(_check("volume", volume.name, message))


class HealthRoutes:
    """`/metrics`, `/livez`, `/readyz`, `/health`."""

    def __init__(self, registry: CollectorRegistry, health: Health, serves: Callable[[], None]) -> None:
        self._registry = registry
        self._health = health
        self._serves = serves
        self._serving = False

    @contextmanager
    def serving(self) -> Iterator[None]:
        """While this lasts, the process does its work; before and after, it is not ready."""
        self._serving = True
        self._serves()
        try:
            yield
        finally:
            self._serving = False

    def app(self) -> web.Application:
        """The internal port's application."""
        app = web.Application()
        app.router.add_get("/metrics", self.metrics)
        app.router.add_get("/livez", self.livez)
        app.router.add_get("/readyz", self.readyz)
        app.router.add_get("/health", self.health)
        return app

    async def metrics(self, request: web.Request) -> web.Response:
        """The metrics, as Prometheus reads them."""
        del request
        text = await anyio.to_thread.run_sync(exposition, self._registry)
        return web.Response(body=text, headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def livez(self, request: web.Request) -> web.Response:
        """Whether the process's event loop turns."""
        del request
        return web.json_response({"status": "ok"})

    async def readyz(self, request: web.Request) -> web.Response:
        """Whether the process does its work, and Redis and every volume answer."""
        del request
        checks = await self._health.checks()
        ready = self._serving and all(check["is_healthy"] for check in checks)
        body = {"status": "ok" if ready else "unavailable", "checks": checks}
        return web.json_response(body, status=200 if ready else 503)

    async def health(self, request: web.Request) -> web.Response:
        """The same in the form Backend.AI's operators know; always 200."""
        del request
        return web.json_response(await self._health.document())


def _check(group: str, component: str, message: str | None) -> dict[str, Any]:
    return {
        "service_group": group,
        "component_id": component,
        "is_healthy": message is None,
        "last_checked_at": _now(),
        "error_message": message,
    }


def _now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")
