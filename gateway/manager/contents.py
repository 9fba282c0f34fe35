"""What happens to bytes of files without passing through a client: copies and checks."""

from __future__ import annotations

from aiohttp import web

from backends.integrity import Integrity, verify
from backends.walk import is_directory
from domain.events import FileDamaged
from domain.foreign_names import path_of, read_path
from domain.ids import VFolderId
from gateway.gate import Gate
from gateway.parameters import Bool, Parameters, PathText, Text
from gateway.uploads.copying import CopySource
from gateway.uploads.places import upload_path


class CopyParameters(Parameters):
    """A file, and where its copy goes; without another folder, in its own."""

    volume: Text
    vfid: VFolderId
    relpath: PathText
    dst_vfid: VFolderId | None = None
    dst_relpath: PathText


class VerifyParameters(Parameters):
    """A file to be read and compared with its digest."""

    volume: Text
    vfid: VFolderId
    relpath: PathText
    keep: Bool = False


class ContentRoutes:
    """`/folder/file/copy` and `/folder/file/verify`."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    def routes(self) -> list[web.RouteDef]:
        """What this serves."""
        return [web.post("/folder/file/copy", self.copy), web.post("/folder/file/verify", self.verify)]

    async def copy(self, request: web.Request) -> web.Response:
        """Copy a file inside its volume; onto a directory means into it."""
        parameters = await self._gate.body(request, CopyParameters)
        volume = self._gate.volume(parameters.volume)
        source = read_path(parameters.relpath)
        folder = parameters.dst_vfid or parameters.vfid
        target = read_path(parameters.dst_relpath)
        if await is_directory(volume.files(folder), target):
            target /= path_of((source.name,))
        copied = await self._gate.uploads.copier.copy(
            CopySource(parameters.vfid, source), volume.name, folder, upload_path(str(target))
        )
        session = copied.session
        return web.json_response({"path": str(target), "size": session.length, "sha256": session.sha256})

    async def verify(self, request: web.Request) -> web.Response:
        """Read a file and compare it with the digest kept with it."""
        parameters = await self._gate.body(request, VerifyParameters)
        volume = self._gate.volume(parameters.volume)
        path = read_path(parameters.relpath)
        handle = await volume.files(parameters.vfid).open_read(path)
        try:
            found = await verify(handle, keep=parameters.keep)
        finally:
            await handle.close()
        kept = found.kept.hex() if found.kept else None
        if found.integrity is Integrity.DAMAGED:
            event = FileDamaged(
                volume=volume.name,
                folder=parameters.vfid,
                path=str(path),
                kept_sha256=kept or "",
                found_sha256=found.sha256.hex(),
            )
            await self._gate.tell(request, event)
        return web.json_response({"integrity": found.integrity, "sha256": found.sha256.hex(), "kept_sha256": kept})
