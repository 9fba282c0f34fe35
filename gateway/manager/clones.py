"""Cloning and migrating folders, inside a volume or from one to another."""

from __future__ import annotations

from typing import Any

from aiohttp import web
from pydantic import ConfigDict

from domain.commands import MigrateVFolder, RequestClone
from domain.ids import VFolderId
from domain.paths import ROOT
from gateway.gate import Gate
from gateway.manager.absent import accept, volume_name
from gateway.middlewares import asker_of
from gateway.parameters import Bool, Parameters, Text


class CloneParameters(Parameters):
    """Which folder is copied, and which one is made; without another volume, on the same one.

    What else the manager tells of it is passed over.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    src_volume: Text
    src_vfid: VFolderId
    dst_volume: Text | None
    dst_vfid: VFolderId
    options: dict[str, Any] | None = None
    #: Whether the copies are read again and compared.
    verify: Bool = False


class MigrateParameters(Parameters):
    """Which folder goes, what it becomes and where; without another volume, on the same one."""

    src_volume: Text
    src_vfid: VFolderId
    dst_volume: Text | None = None
    dst_vfid: VFolderId
    #: Whether copies are read again and compared before the source goes.
    verify: Bool = False


class CloneRoutes:
    """`/folder/clone` and `/folder/migrate`."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    def routes(self) -> list[web.RouteDef]:
        """What this serves."""
        return [web.post("/folder/clone", self.clone), web.post("/folder/migrate", self.migrate)]

    async def clone(self, request: web.Request) -> web.Response:
        """Have a folder cloned; how it ends is told by events and by its task."""
        parameters = await self._gate.body(request, CloneParameters)
        source = parameters.src_volume
        target = source if parameters.dst_volume is None else parameters.dst_volume
        command = RequestClone(
            source=parameters.src_vfid,
            destination=parameters.dst_vfid,
            source_volume=None if target == source else volume_name(source),
            verify=parameters.verify,
        )
        accepted = await accept(self._gate, request, command, target, source)
        return web.json_response({"bgtask_id": str(accepted)})

    async def migrate(self, request: web.Request) -> web.Response:
        """Give a folder another owner at once, or have it copied to another volume; it is in one place only."""
        parameters = await self._gate.body(request, MigrateParameters)
        source = self._gate.volume(parameters.src_volume)
        target = self._gate.volume(parameters.dst_volume) if parameters.dst_volume is not None else source
        command = MigrateVFolder(
            source=parameters.src_vfid,
            destination=parameters.dst_vfid,
            source_volume=None if target is source else source.name,
            verify=parameters.verify,
        )
        asker = asker_of(request)
        if target is not source and not await self._gate.commander.is_repetition(asker):
            await source.files(parameters.src_vfid).stat(ROOT)
        answer = await self._gate.commander.ask(target.name, command, asker)
        return web.json_response({"task_id": answer.get("task")}, status=202 if "task" in answer else 200)
