"""`/openapi.json` and `/docs`."""

from __future__ import annotations

import json
from typing import Any, Final

from aiohttp import web

from gateway.openapi.document import openapi
from gateway.openapi.operations import Table
from gateway.openapi.page import page


class OpenApiRoutes:
    """What a port can be asked; made when it is first asked for. Nothing of it is secret."""

    PATHS: Final = frozenset({"/openapi.json", "/docs"})

    def __init__(self, port: str, table: Table, version: str) -> None:
        self._port = port
        self._table = table
        self._version = version
        self._made: dict[str, Any] | None = None

    def routes(self) -> list[web.RouteDef]:
        """What this serves."""
        return [
            web.get("/openapi.json", self.document, allow_head=False),
            web.get("/docs", self.page, allow_head=False),
        ]

    async def document(self, request: web.Request) -> web.Response:
        """Describe this port in OpenAPI 3.1."""
        return web.Response(text=json.dumps(self._document(request.app)), content_type="application/json")

    async def page(self, request: web.Request) -> web.Response:
        """Describe this port for people."""
        policy = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}
        return web.Response(text=page(self._document(request.app)), content_type="text/html", headers=policy)

    def _document(self, app: web.Application) -> dict[str, Any]:
        if self._made is None:
            self._made = openapi(self._port, app, self._table, self._version)
        return self._made
