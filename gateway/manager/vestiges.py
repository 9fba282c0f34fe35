"""Routes of features that are gone, for managers that still ask: they answer as Backend.AI's storage proxy does."""

from __future__ import annotations

from typing import Annotated, NoReturn

from aiohttp import web
from pydantic import AfterValidator

from domain.ids import VFolderId
from gateway.gate import Gate
from gateway.parameters import FolderParameters, Parameters, Text


def _no_bytes(value: object) -> NoReturn:
    """JSON has no byte strings, so nothing that can be sent is one."""
    del value
    raise ValueError("value is not a bytes string")


class MetadataParameters(FolderParameters):
    """A folder, and what was once kept beside it."""

    payload: Annotated[object, AfterValidator(_no_bytes)]


class QuotaParameters(Parameters):
    """A folder, and the limit that belongs to its scope today."""

    volume: Text
    vfid: VFolderId | None = None
    size_bytes: object = None


class VestigeRoutes:
    """`/folder/metadata` and `/volume/quota`."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    def routes(self) -> list[web.RouteDef]:
        """What this serves."""
        return [
            web.get("/folder/metadata", self.metadata, allow_head=False),
            web.post("/folder/metadata", self.set_metadata),
            web.get("/volume/quota", self.quota, allow_head=False),
            web.patch("/volume/quota", self.set_quota),
        ]

    async def metadata(self, request: web.Request) -> web.Response:
        """Nothing is kept."""
        await self._gate.body(request, FolderParameters)
        return web.json_response({"status": "ok"})

    async def set_metadata(self, request: web.Request) -> web.Response:
        """Nothing can be kept: no request passes the check of its payload."""
        await self._gate.body(request, MetadataParameters)
        return web.json_response({"status": "ok"})

    async def quota(self, request: web.Request) -> web.Response:
        """Limits belong to quota scopes."""
        return await self._deprecated(request, "get_quota")

    async def set_quota(self, request: web.Request) -> web.Response:
        """Limits belong to quota scopes."""
        return await self._deprecated(request, "set_quota")

    async def _deprecated(self, request: web.Request, name: str) -> web.Response:
        await self._gate.body(request, QuotaParameters)
        return web.Response(status=400, reason=f"{name} (for individual vfolder) is a deprecated API")
