"""Quota scopes: create, look, limit."""

from __future__ import annotations

from typing import Any

from aiohttp import web
from pydantic import Field

from domain.commands import CreateQuotaScope, SetQuota, UnsetQuota
from domain.ids import QuotaScopeId
from gateway.gate import Gate
from gateway.middlewares import asker_of
from gateway.parameters import Parameters, Text


class Options(Parameters):
    """A quota."""

    limit_bytes: int = Field(ge=0, le=(1 << 63) - 1)


class ScopeParameters(Parameters):
    """Names a scope on a volume."""

    volume: Text
    qsid: QuotaScopeId


class CreateParameters(ScopeParameters):
    """A new scope, with or without a limit."""

    options: Options | None = None
    extra_args: dict[str, Any] | None = None


class UpdateParameters(ScopeParameters):
    """A scope's new limit."""

    options: Options


class QuotaScopeRoutes:
    """`/quota-scope` and `/quota-scope/quota`."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    def routes(self) -> list[web.RouteDef]:
        """What this serves."""
        return [
            web.post("/quota-scope", self.create),
            web.get("/quota-scope", self.look, allow_head=False),
            web.patch("/quota-scope", self.update),
            web.delete("/quota-scope/quota", self.unset),
        ]

    async def create(self, request: web.Request) -> web.Response:
        """Make a scope."""
        parameters = await self._gate.body(request, CreateParameters)
        volume = self._gate.volume(parameters.volume)
        limit = parameters.options.limit_bytes if parameters.options else None
        command = CreateQuotaScope(scope=parameters.qsid, limit_bytes=limit)
        await self._gate.commander.ask(volume.name, command, asker_of(request))
        return web.Response(status=204)

    async def look(self, request: web.Request) -> web.Response:
        """Tell a scope's limit and, where there is one, its use."""
        parameters = await self._gate.body(request, ScopeParameters)
        volume = self._gate.volume(parameters.volume)
        quota = await self._gate.quotas.quota(volume.name, parameters.qsid)
        return web.json_response({"used_bytes": quota.used_bytes, "limit_bytes": quota.limit_bytes})

    async def update(self, request: web.Request) -> web.Response:
        """Set a scope's limit."""
        parameters = await self._gate.body(request, UpdateParameters)
        volume = self._gate.volume(parameters.volume)
        command = SetQuota(scope=parameters.qsid, limit_bytes=parameters.options.limit_bytes)
        await self._gate.commander.ask(volume.name, command, asker_of(request))
        return web.Response(status=204)

    async def unset(self, request: web.Request) -> web.Response:
        """Remove a scope's limit."""
        parameters = await self._gate.body(request, ScopeParameters)
        volume = self._gate.volume(parameters.volume)
        await self._gate.commander.ask(volume.name, UnsetQuota(scope=parameters.qsid), asker_of(request))
        return web.Response(status=204)
