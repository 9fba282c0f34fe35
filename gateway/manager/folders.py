"""Folders: create, delete, mount, usage, and the list of all."""

from __future__ import annotations

import math
from dataclasses import replace

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from bus.folder_pages import ListedFolder, folder_index, folder_page
from domain.bounds import MOST_BYTES
from domain.catalogue import FolderStatus, Need
from domain.commands import DEFAULT_FOLDER_MODE, CreateVFolder, DeleteVFolder
from domain.errors import (
    InvalidPathError,
    InvalidRequestError,
    LockedError,
    NotFoundError,
    Subject,
)
from domain.ids import QuotaScopeId, VolumeName
from domain.paths import ROOT
from gateway.counts import Counted
from gateway.gate import Gate
from gateway.manager.absent import accept
from gateway.manager.mounts import find_mount
from gateway.middlewares import asker_of
from gateway.parameters import Bool, FolderParameters, Parameters, Text, read_query
from gateway.problems import Problem, own_problem
from gateway.statuses import explained, status_of


class CreateOptions(BaseModel):
    """What the manager tells besides of a new folder; what is not known here is passed over."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    #: Limit of its scope, if that is made with it; 0: none.
    initial_max_size_for_quota_scope: int | None = Field(None, ge=0, le=MOST_BYTES)


class CreateParameters(FolderParameters):
    """A new folder."""

    mode: int | None = Field(None, ge=0, le=0o7777)
    options: CreateOptions | None = None


class MountParameters(FolderParameters):
    """A folder, and a path in it."""

    subpath: str = "."
    #: Whether it is told as well how the volume is mounted on the host that answers, and where the subpath leads.
    details: Bool = False


class ListParameters(Parameters):
    """Which folders, and from where on."""

    volume: Text | None = None
    owner: QuotaScopeId | None = None
    cursor: str = Field("", max_length=256)
    limit: int = Field(100, ge=1, le=1000)


class FolderRoutes:
    """`/folder/...` and `/folders`."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    def routes(self) -> list[web.RouteDef]:
        """What this serves."""
        return [
            web.post("/folder/create", self.create),
            web.post("/folder/delete", self.delete),
            web.get("/folder/mount", self.mount, allow_head=False),
            web.get("/folder/usage", self.usage, allow_head=False),
            web.get("/folder/used-bytes", self.used_bytes, allow_head=False),
            web.get("/folder/status", self.status, allow_head=False),
            web.get("/folders", self.folders, allow_head=False),
        ]

    async def create(self, request: web.Request) -> web.Response:
        """Make a folder; its scope is made as well if it is not there."""
        parameters = await self._gate.body(request, CreateParameters)
        if parameters.vfid.scope is None:
            raise InvalidRequestError("quota_scope_id is required for vfid")
        volume = self._gate.volume(parameters.volume)
        mode = DEFAULT_FOLDER_MODE if parameters.mode is None else parameters.mode
        limit = parameters.options.initial_max_size_for_quota_scope if parameters.options else None
        command = CreateVFolder(folder=parameters.vfid, mode=mode, scope_limit_bytes=limit or None)
        await self._gate.commander.ask(volume.name, command, asker_of(request))
        return web.Response(status=204)

    async def delete(self, request: web.Request) -> web.Response:
        """Have a folder deleted; the answer comes when that is accepted, not when it is done."""
        parameters = await self._gate.body(request, FolderParameters)
        command = DeleteVFolder(folder=parameters.vfid)
        accepted = await accept(self._gate, request, command, parameters.volume)
        return web.json_response({"bgtask_id": str(accepted)}, status=202)

    async def mount(self, request: web.Request) -> web.Response:
        """Tell where agents find a folder, and what there is at a path in it."""
        parameters = await self._gate.body(request, MountParameters)
        volume = self._gate.volume(parameters.volume)
        try:
            found = await find_mount(volume, parameters.vfid, parameters.subpath)
        except InvalidPathError:
            return _no_mount("Invalid vfolder subpath", parameters, subpath=parameters.subpath).response()
        except NotFoundError as error:
            if error.subject is not Subject.VFOLDER:
                raise
            known = await explained(self._gate.bus.catalogue, error)
            if isinstance(known, LockedError):
                raise known from error
            return _no_mount("VFolder not found", parameters).response()
        details = found.details() if parameters.details else {}
        return web.json_response({"path": found.root.path, **details})

    async def usage(self, request: web.Request) -> web.Response:
        """Count a folder: its entries and the sum of their sizes."""
        parameters = await self._gate.body(request, FolderParameters)
        counted = await self._counted(parameters)
        usage = counted.usage
        told = {"file_count": usage.entries, "used_bytes": usage.logical_bytes}
        return web.json_response(told, headers=age_headers(counted))

    async def used_bytes(self, request: web.Request) -> web.Response:
        """Count a folder: the space it takes, as `du` would."""
        parameters = await self._gate.body(request, FolderParameters)
        counted = await self._counted(parameters)
        return web.json_response({"used_bytes": counted.usage.allocated_bytes}, headers=age_headers(counted))

    async def _counted(self, parameters: FolderParameters) -> Counted:
        volume = self._gate.volume(parameters.volume)
        return await self._gate.counts.usage(VolumeName(volume.name), parameters.vfid)

    async def status(self, request: web.Request) -> web.Response:
        """Tell whether a folder can be used, and why not."""
        parameters = await self._gate.body(request, FolderParameters)
        volume = self._gate.volume(parameters.volume)
        try:
            await volume.files(parameters.vfid).stat(ROOT)
        except NotFoundError as error:
            known = await status_of(self._gate.bus.catalogue, parameters.vfid, VolumeName(volume.name))
            if error.subject is not Subject.VFOLDER or known is None:
                raise
            told = {"status": known.status, "reason": known.reason, "task_id": known.task or None}
        else:
            told = {"status": FolderStatus.READY, "reason": None, "task_id": None}
        return web.json_response(told)

    async def folders(self, request: web.Request) -> web.Response:
        """List folders of the catalogue, page by page."""
        parameters = read_query(request, ListParameters)
        if parameters.volume is not None and parameters.owner is not None:
            raise InvalidRequestError("give a volume or an owner, not both", field="owner")
        volume = self._gate.volume(parameters.volume).name if parameters.volume is not None else None
        page = await folder_page(
            self._gate.bus.catalogue,
            folder_index(volume, parameters.owner),
            cursor=parameters.cursor,
            limit=parameters.limit,
        )
        now = self._gate.bus.clock.now()
        items = [_item(listed, now) for listed in page.folders]
        return web.json_response({"items": items, "next_cursor": page.cursor})


def age_headers(counted: Counted) -> dict[str, str]:
    """How old a count is, if it is not of just now."""
    return {"X-Penstock-Usage-Age": f"{counted.age_seconds:.0f}"} if counted.age_seconds else {}


def _item(listed: ListedFolder, now: float) -> dict[str, object]:
    folder, usage, counted = listed.folder, listed.usage, None
    if usage is not None and usage.serves(Need.CURRENT, now, math.inf):
        counted = {
            "used_bytes": usage.file_bytes,
            "files": usage.files,
            "age_seconds": round(max(0.0, now - usage.measured), 3),
        }
    return {
        "volume": folder.volume,
        "vfid": str(folder.folder),
        "owner": str(folder.folder.scope) if folder.folder.scope else None,
        "status": listed.status.status if listed.status else FolderStatus.READY,
        "reason": listed.status.reason if listed.status else None,
        "mode": folder.mode,
        "created": folder.created,
        "usage": counted,
    }


def _no_mount(message: str, parameters: MountParameters, **more: str) -> Problem:
    problem = own_problem(400, "mount", "Cannot mount", message)
    members = {**problem.members, "vfid": str(parameters.vfid), **more}
    return replace(problem, members=members, tells_code=False)
