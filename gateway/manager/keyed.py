"""The same resources by their keys in the path: `/volumes/{volume}/quota-scope/{type}/{uuid}/vfolder/{folder}`."""

from __future__ import annotations

from typing import Final, TypeVar
from uuid import NAMESPACE_URL, uuid5

from aiohttp import web

from backends.contract import Volume
from backends.powers import Mountable, capabilities
from domain.commands import (
    CreateQuotaScope,
    CreateVFolder,
    DeleteQuotaScope,
    DeleteVFolder,
    RequestClone,
    SetQuota,
    UnsetQuota,
)
from domain.errors import InvalidRequestError
from domain.ids import QuotaScopeId, VFolderId, VolumeName
from domain.messages import Command
from domain.paths import RelativePath
from gateway.gate import Gate
from gateway.manager.folders import age_headers
from gateway.manager.quota_scopes import Options, limits, told
from gateway.middlewares import asker_of
from gateway.parameters import Parameters
from gateway.validation import InvalidParametersError

T = TypeVar("T", QuotaScopeId, VFolderId)

_SCOPE: Final = "/volumes/{volume}/quota-scope/{type}/{uuid}"
_FOLDER: Final = _SCOPE + "/vfolder/{folder}"


class ScopeParameters(Parameters):
    """A scope's limit, or none."""

    options: Options | None = None


class InfoParameters(Parameters):
    """A directory of a folder."""

    subpath: str = "."


class CloneParameters(Parameters):
    """The folder to make."""

    dst_vfid: VFolderId


class KeyedRoutes:
    """Volumes, quota scopes and folders, each under its own URL.

    A volume is named by its name or by the UUID that is told for it, which follows from its name.
    """

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._by_id = {str(volume_id(name)): volume for name, volume in gate.volumes.items()}

    def routes(self) -> list[web.RouteDef]:
        """What this serves."""
        return [
            web.get("/volumes/{volume}", self.volume, allow_head=False),
            web.get(_SCOPE, self.scope, allow_head=False),
            web.post(_SCOPE, self.create_scope),
            web.put(_SCOPE, self.update_scope),
            web.delete(_SCOPE, self.delete_scope),
            web.get(_FOLDER, self.folder, allow_head=False),
            web.post(_FOLDER, self.create_folder),
            web.delete(_FOLDER, self.delete_folder),
            web.put(f"{_FOLDER}/clone", self.clone),
        ]

    async def volume(self, request: web.Request) -> web.Response:
        """Tell of one volume."""
        volume = self._volume(request)
        item = {
            "volume_id": str(volume_id(volume.name)),
            "backend": volume.backend,
            "path": volume.mount_path if isinstance(volume, Mountable) else "",
            "fsprefix": ".",
            "capabilities": capabilities(volume),
        }
        return web.json_response({"item": item})

    async def scope(self, request: web.Request) -> web.Response:
        """Tell a scope's limit and, where there is one, its use."""
        quota = await self._gate.quotas.quota(self._volume(request).name, _scope(request))
        return web.json_response(told(quota))

    async def create_scope(self, request: web.Request) -> web.Response:
        """Make a scope, with or without a limit."""
        options = (await self._gate.body(request, ScopeParameters)).options
        return await self._limit(request, CreateQuotaScope(scope=_scope(request), **limits(options)))

    async def update_scope(self, request: web.Request) -> web.Response:
        """Set a scope's limit, or remove it."""
        options = (await self._gate.body(request, ScopeParameters)).options
        if options is None:
            return await self._limit(request, UnsetQuota(scope=_scope(request)))
        return await self._limit(request, SetQuota(scope=_scope(request), **limits(options)))

    async def delete_scope(self, request: web.Request) -> web.Response:
        """Remove an empty scope."""
        return await self._limit(request, DeleteQuotaScope(scope=_scope(request)))

    async def folder(self, request: web.Request) -> web.Response:
        """Tell where a folder is and what it holds."""
        parameters = await self._gate.body(request, InfoParameters)
        volume, folder = self._volume(request), _folder(request)
        counted = await self._gate.counts.usage(VolumeName(volume.name), folder)
        usage, capacity = counted.usage, await volume.capacity()
        path = RelativePath.parse(parameters.subpath)
        item = {
            "mount_path": (await volume.mount(folder, path)).path if isinstance(volume, Mountable) else "",
            "file_count": usage.entries,
            "used_bytes": usage.logical_bytes,
            "capacity_bytes": capacity.total_bytes,
            "fs_used_bytes": capacity.used_bytes,
        }
        return web.json_response({"item": item}, headers=age_headers(counted))

    async def create_folder(self, request: web.Request) -> web.Response:
        """Make a folder; its scope is made as well if it is not there."""
        return await self._have_done(request, CreateVFolder(folder=_folder(request)))

    async def delete_folder(self, request: web.Request) -> web.Response:
        """Take a folder away; what it held is purged later."""
        return await self._have_done(request, DeleteVFolder(folder=_folder(request)))

    async def clone(self, request: web.Request) -> web.Response:
        """Have the folder cloned on its volume; how it ends is told by events and the task."""
        parameters = await self._gate.body(request, CloneParameters)
        command = RequestClone(source=_folder(request), destination=parameters.dst_vfid)
        task = await self._gate.commander.tell(self._volume(request).name, command, asker_of(request))
        return web.Response(status=204, headers={"X-Penstock-Task": str(task)})

    async def _limit(self, request: web.Request, command: Command) -> web.Response:
        return await self._gate.limit(request, self._volume(request), _scope(request), command)

    async def _have_done(self, request: web.Request, command: Command) -> web.Response:
        await self._gate.commander.ask(self._volume(request).name, command, asker_of(request))
        return web.Response(status=204)

    def _volume(self, request: web.Request) -> Volume:
        name = request.match_info["volume"]
        return self._by_id.get(name.lower()) or self._gate.volume(name)


def volume_id(name: VolumeName) -> str:
    """The UUID that stands for a volume."""
    return str(uuid5(NAMESPACE_URL, f"penstock:volume:{name}"))


def _scope(request: web.Request) -> QuotaScopeId:
    return _parsed(QuotaScopeId, "quota_scope", f"{request.match_info['type']}:{request.match_info['uuid']}")


def _folder(request: web.Request) -> VFolderId:
    return _parsed(VFolderId, "folder_uuid", f"{_scope(request)}/{request.match_info['folder']}")


def _parsed(kind: type[T], field: str, text: str) -> T:
    try:
        return kind.parse(text)
    except InvalidRequestError as error:
        raise InvalidParametersError({field: error.message}) from error
