"""`GET /`: whether anybody is there."""

from __future__ import annotations

from aiohttp import web

from gateway.cors import Cors
from gateway.gate import Gate


class StatusRoutes:
    """Status of the client port."""

    def __init__(self, gate: Gate, cors: Cors) -> None:
        self._gate = gate
        self._cors = cors

    def routes(self) -> list[web.RouteDef]:
        """What this serves."""
        return [web.get("/", self.status, allow_head=False), web.options("/", self.options)]

    async def status(self, request: web.Request) -> web.Response:
        """Say who is there."""
        del request
        return web.json_response({"status": "ok", "type": "client-facing", "storage-proxy": self._gate.version})

    async def options(self, request: web.Request) -> web.Response:
        """Answer a page's preflight request."""
        return self._cors.preflight(request)
