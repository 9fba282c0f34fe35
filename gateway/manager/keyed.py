"""The same resources by their keys in the path: `/volumes/{volume}/quota-scope/{type}/{uuid}/vfolder/{folder}`."""

from __future__ import annotations

from typing import Final, TypeVar
from uuid import NAMESPACE_URL, UUID, uuid5

from aiohttp import web

from backends.contract import Volume
from backends.powers import Mountable, capabilities
from domain.commands import (
    CreateQuotaScope,
    CreateVFolder,
    DeleteVFolder,
    RequestClone,
    SetQuota,
    UnsetQuota,
)
from domain.errors import ConflictError, InvalidRequestError, Subject
from domain.ids import QuotaScopeId, VFolderId, VolumeName
from domain.messages import Command
from gateway.gate import Gate
from gateway.manager.ending import clone_and_wait
from gateway.manager.folders import age_headers
from gateway.manager.gone import gone
from gateway.manager.mounts import FoundMount, find_mount
from gateway.manager.quota_scopes import Options, limits, told
from gateway.middlewares import asker_of
from gateway.parameters import Bool, Parameters
from gateway.validation import InvalidParametersError

T = TypeVar("T", QuotaScopeId, VFolderId)

_SCOPE: Final = "/volumes/{volume}/quota-scope/{type}/{uuid}"
_FOLDER: Final = _SCOPE + "/vfolder/{folder}"


class ScopeParameters(Parameters):
    """A scope's limit, or none."""

    options: Options | None = None


class InfoParameters(Parameters):
    """A path in a folder."""

    subpath: str = "."
    #: Whether it is told as well where the subpath leads.
    details: Bool = False


class CloneParameters(Parameters):
    """The folder to make."""

    dst_vfid: VFolderId


class KeyedRoutes:
    """Volumes, quota scopes and folders, each under its own URL.

    A volume is named by its name or by the UUID that is told for it, which follows from its name, or is its name.
    """

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._by_id = {volume_id(name): volume for name, volume in gate.volumes.items()}

    def routes(self) -> list[web.RouteDef]:
        """What this serves."""
        return [
            web.get("/volumes/{volume}", self.volume, allow_head=False),
            web.get(_SCOPE, self.scope, allow_head=False),
            web.post(_SCOPE, self.create_scope),
            web.put(_SCOPE, self.update_scope),
            web.delete(_SCOPE, self.lift_limit),
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
        """Set a scope's limit; a scope that is not there is made, without a limit as well."""
        options = (await self._gate.body(request, ScopeParameters)).options
        if options is not None:
            return await self._limit(request, SetQuota(scope=_scope(request), make=True, **limits(options)))
        try:
            return await self._limit(request, CreateQuotaScope(scope=_scope(request)))
        except ConflictError as error:
            message = "options is required for updating quota scope"
            raise InvalidRequestError(message, subject=Subject.QUOTA_SCOPE, field="options") from error

    async def lift_limit(self, request: web.Request) -> web.Response:
        """Remove a scope's limit; the scope stays."""
        return await self._limit(request, UnsetQuota(scope=_scope(request)))

    async def folder(self, request: web.Request) -> web.Response:
        """Tell where a folder is and what it holds."""
        parameters = await self._gate.body(request, InfoParameters)
        volume, folder = self._volume(request), _folder(request)
        async with gone(self._gate.bus.catalogue):
            counted = await self._gate.counts.usage(VolumeName(volume.name), folder)
            found = await _found(volume, folder, parameters.subpath)
        usage, capacity = counted.usage, await volume.capacity()
        item = {
            "mount_path": found.root.path if found else "",
            "file_count": usage.entries,
            "used_bytes": usage.logical_bytes,
            "capacity_bytes": capacity.total_bytes,
            "fs_used_bytes": capacity.used_bytes,
            **(found.details() if found and parameters.details else {}),
        }
        return web.json_response({"item": item}, headers=age_headers(counted))

    async def create_folder(self, request: web.Request) -> web.Response:
        """Make a folder; its scope is made as well if it is not there."""
        return await self._have_done(request, CreateVFolder(folder=_folder(request)))

    async def delete_folder(self, request: web.Request) -> web.Response:
        """Take a folder away; what it held is purged later."""
        async with gone(self._gate.bus.catalogue):
            return await self._have_done(request, DeleteVFolder(folder=_folder(request)))

    async def clone(self, request: web.Request) -> web.Response:
        """Have the folder cloned on its volume; answered when the clone is there."""
        parameters = await self._gate.body(request, CloneParameters)
        command = RequestClone(source=_folder(request), destination=parameters.dst_vfid)
        task = await clone_and_wait(self._gate, self._volume(request).name, command, asker_of(request))
        return web.Response(status=204, headers={"X-Penstock-Task": str(task)} if task else {})

    async def _limit(self, request: web.Request, command: Command) -> web.Response:
        return await self._gate.limit(request, self._volume(request), _scope(request), command)

    async def _have_done(self, request: web.Request, command: Command) -> web.Response:
        await self._gate.commander.ask(self._volume(request).name, command, asker_of(request))
        return web.Response(status=204)

    def _volume(self, request: web.Request) -> Volume:
        name = request.match_info["volume"]
        if name not in self._gate.volumes and (named := self._by_id.get(name.lower())) is not None:
            return named
        return self._gate.volume(name)


async def _found(volume: Volume, folder: VFolderId, subpath: str) -> FoundMount | None:
    return await find_mount(volume, folder, subpath) if isinstance(volume, Mountable) else None


def volume_id(name: VolumeName) -> str:
    """The UUID that stands for a volume: its name, if that is one."""
    try:
        return str(UUID(name))
    except ValueError:
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
