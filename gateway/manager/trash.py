"""Deleted folders: which there are, having one back, having one purged at once."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from uuid import UUID

from aiohttp import web

from backends.contract import TrashEntry, Volume
from domain.commands import PurgeVFolder, RestoreVFolder
from domain.errors import NotFoundError, Subject
from domain.ids import VFolderId
from gateway.gate import Gate
from gateway.middlewares import asker_of
from gateway.parameters import FolderParameters, Parameters, Text, read_query


class ListParameters(Parameters):
    """A volume."""

    volume: Text


class TrashParameters(FolderParameters):
    """A deleted folder; if it was deleted more than once, which of them. Without it, the last one."""

    trash: UUID | None = None


class TrashRoutes:
    """`/trash`, `/folder/restore` and `/folder/purge`."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    def routes(self) -> list[web.RouteDef]:
        """What this serves."""
        return [
            web.get("/trash", self.trash, allow_head=False),
            web.post("/folder/restore", self.restore),
            web.post("/folder/purge", self.purge),
        ]

    async def trash(self, request: web.Request) -> web.Response:
        """List a volume's deleted folders that can still be had back."""
        volume = self._gate.volume(read_query(request, ListParameters).volume)
        entries = [entry for entry in await volume.trash() if _is_free(entry)]
        items = [
            {"trash": str(entry.id), "vfid": str(entry.folder), "deleted": _time(entry)}
            for entry in sorted(entries, key=lambda entry: entry.time)
        ]
        return web.json_response({"items": items})

    async def restore(self, request: web.Request) -> web.Response:
        """Put a deleted folder back to its place."""
        return await self._have_done(request, RestoreVFolder)

    async def purge(self, request: web.Request) -> web.Response:
        """Have a deleted folder purged at once."""
        return await self._have_done(request, PurgeVFolder)

    async def _have_done(self, request: web.Request, command: type[RestoreVFolder | PurgeVFolder]) -> web.Response:
        parameters = await self._gate.body(request, TrashParameters)
        volume = self._gate.volume(parameters.volume)
        asker, commander = asker_of(request), self._gate.commander
        trash = parameters.trash or UUID(await commander.once(asker, partial(_last, volume, parameters.vfid)))
        await commander.ask(volume.name, command(folder=parameters.vfid, trash=trash), asker)
        return web.Response(status=204)


async def _last(volume: Volume, folder: VFolderId) -> str:
    found = [entry for entry in await volume.trash() if entry.folder == folder and _is_free(entry)]
    if not found:
        message = f"VFolder not found or not a directory: {folder} (nothing of it is in the trash)"
        raise NotFoundError(message, subject=Subject.VFOLDER, path=str(folder))
    return str(max(found, key=lambda entry: entry.time).id)


def _is_free(entry: TrashEntry) -> bool:
    """Whether it was deleted, and can be had back: not one that is purged, or on its way to another volume."""
    return not entry.doomed and entry.held is None


def _time(entry: TrashEntry) -> str | None:
    return datetime.fromtimestamp(entry.time, UTC).isoformat(timespec="milliseconds") if entry.time else None
