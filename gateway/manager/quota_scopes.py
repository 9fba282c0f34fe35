"""Quota scopes: create, look, limit; and limits of single folders."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiohttp import web
from pydantic import Field

from domain.bounds import MOST_BYTES
from domain.commands import CreateQuotaScope, SetQuota, SetVFolderQuota, UnsetQuota
from domain.ids import QuotaScopeId, VolumeName
from domain.paths import ROOT
from domain.usage import Quota
from gateway.gate import Gate
from gateway.parameters import FolderParameters, Parameters, Text


class Options(Parameters):
    """A quota, with or without a limit that may be passed for some time; 0 is no limit."""

    limit_bytes: int = Field(ge=0, le=MOST_BYTES)
    soft_limit_bytes: int | None = Field(None, ge=0, le=MOST_BYTES)


class FolderOptions(Parameters):
    """Limits of a folder; without any it has none."""

    limit_bytes: int | None = Field(None, ge=0, le=MOST_BYTES)
    soft_limit_bytes: int | None = Field(None, ge=0, le=MOST_BYTES)


class FolderQuotaParameters(FolderParameters):
    """A folder's new limits."""

    options: FolderOptions


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
    """`/quota-scope`, `/quota-scope/quota` and `/folder/quota`."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    def routes(self) -> list[web.RouteDef]:
        """What this serves."""
        return [
            web.post("/quota-scope", self.create),
            web.get("/quota-scope", self.look, allow_head=False),
            web.patch("/quota-scope", self.update),
            web.delete("/quota-scope/quota", self.unset),
            web.get("/folder/quota", self.look_at_folder, allow_head=False),
            web.put("/folder/quota", self.update_folder),
        ]

    async def create(self, request: web.Request) -> web.Response:
        """Make a scope."""
        parameters = await self._gate.body(request, CreateParameters)
        volume = self._gate.volume(parameters.volume)
        command = CreateQuotaScope(scope=parameters.qsid, **limits(parameters.options))
        return await self._gate.limit(request, volume, parameters.qsid, command)

    async def look(self, request: web.Request) -> web.Response:
        """Tell a scope's limit and, where there is one, its use."""
        parameters = await self._gate.body(request, ScopeParameters)
        volume = self._gate.volume(parameters.volume)
        quota = await self._gate.quotas.quota(volume.name, parameters.qsid)
        return web.json_response(told(quota))

    async def update(self, request: web.Request) -> web.Response:
        """Set a scope's limit; a scope that is not there is made with it."""
        parameters = await self._gate.body(request, UpdateParameters)
        volume = self._gate.volume(parameters.volume)
        command = SetQuota(scope=parameters.qsid, make=True, **limits(parameters.options))
        return await self._gate.limit(request, volume, parameters.qsid, command)

    async def unset(self, request: web.Request) -> web.Response:
        """Remove a scope's limit."""
        parameters = await self._gate.body(request, ScopeParameters)
        volume = self._gate.volume(parameters.volume)
        return await self._gate.limit(request, volume, parameters.qsid, UnsetQuota(scope=parameters.qsid))

    async def look_at_folder(self, request: web.Request) -> web.Response:
        """Tell a folder's own limits and, where there are any, its use."""
        parameters = await self._gate.body(request, FolderParameters)
        volume = self._gate.volume(parameters.volume)
        await volume.files(parameters.vfid).stat(ROOT)
        return web.json_response(told(await self._gate.quotas.quota(VolumeName(volume.name), parameters.vfid)))

    async def update_folder(self, request: web.Request) -> web.Response:
        """Set a folder's own limits, or remove them."""
        parameters = await self._gate.body(request, FolderQuotaParameters)
        volume = self._gate.volume(parameters.volume)
        options = parameters.options
        command = SetVFolderQuota(
            folder=parameters.vfid, limit_bytes=options.limit_bytes, soft_bytes=options.soft_limit_bytes
        )
        return await self._gate.limit(request, volume, parameters.vfid, command)


def limits(options: Options | None) -> Mapping[str, Any]:
    """Limits of a scope as commands have them; to Backend.AI's manager, 0 reads as none."""
    if options is None:
        return {}
    return {"limit_bytes": options.limit_bytes or None, "soft_bytes": options.soft_limit_bytes}


def told(quota: Quota) -> dict[str, int | None]:
    """Limits as Backend.AI's manager knows them, and a soft one if there is one."""
    soft = {} if quota.soft_bytes is None else {"soft_limit_bytes": quota.soft_bytes}
    return {"used_bytes": quota.used_bytes, "limit_bytes": quota.limit_bytes, **soft}
