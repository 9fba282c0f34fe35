"""`GET /`, `GET /status`, `GET /health`: whether anybody is there, and how they are."""

from __future__ import annotations

from aiohttp import web

from gateway.gate import Gate
from gateway.problems import malformed


class StatusRoutes:
    """Status of the manager port; needs no secret."""

    PATHS = frozenset({"/", "/status", "/health"})

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    def routes(self) -> list[web.RouteDef]:
        """What this serves."""
        return [
            web.get("/", self.status, allow_head=False),
            web.get("/status", self.status, allow_head=False),
            web.get("/health", self.health, allow_head=False),
        ]

    async def status(self, request: web.Request) -> web.Response:
        """Say who is there; a body makes no sense here."""
        if request.body_exists:
            return malformed("request body should be empty").response()
        return web.json_response({"status": "ok", "type": "manager-facing", "storage-proxy": self._gate.version})

    async def health(self, request: web.Request) -> web.Response:
        """Say how what this process depends on is."""
        del request
        return web.json_response(await self._gate.health())
