"""`/download?token=`: a file by ranges, or a directory as an archive; `/download-archive?token=`: several."""

from __future__ import annotations

from typing import Literal

from aiohttp import web

from domain.errors import ConflictError, InvalidPathError, InvalidRequestError, NotFoundError, Subject
from domain.ids import VFolderId
from domain.paths import RelativePath
from gateway.archive.answer import ArchiveOf, Packing, send_archive
from gateway.archive.manifest import Gatherer
from gateway.client.access import read_token
from gateway.cors import Cors
from gateway.download import send_file
from gateway.gate import Gate
from gateway.parameters import Bool, Parameters, Text, read_query
from gateway.problems import file_not_found
from gateway.tokens import ArchiveClaims, DownloadClaims


class ArchiveParameters(Parameters):
    """How an archive is to be made."""

    token: Text
    format: Literal["zip", "tar", "tar.gz", "tar.zst"] = "zip"
    compress: Literal["stored", "deflate"] = "stored"
    filename: str | None = None

    @property
    def packing(self) -> Packing:
        """The format, with its compression."""
        if self.compress == "deflate":
            if self.format != "zip":
                raise InvalidRequestError("only zip archives are deflated", field="compress")
            return Packing.DEFLATED_ZIP
        return Packing(self.format)


class DownloadParameters(ArchiveParameters):
    """A token, and a directory its path lies in."""

    dst_dir: str | None = None
    archive: Bool = False
    no_cache: Bool = False


class DownloadRoutes:
    """Downloads."""

    def __init__(self, gate: Gate, cors: Cors) -> None:
        self._gate = gate
        self._cors = cors

    def routes(self) -> list[web.RouteDef]:
        """What this serves."""
        return [
            web.get("/download", self.download),
            web.options("/download", self.options),
            web.get("/download-archive", self.selection),
            web.options("/download-archive", self.options),
        ]

    async def options(self, request: web.Request) -> web.Response:
        """Answer a page's preflight request."""
        return self._cors.preflight(request)

    async def download(self, request: web.Request) -> web.StreamResponse:
        """Send what the token names; a file that may not be reached is as good as not there."""
        parameters = read_query(request, DownloadParameters)
        claims = read_token(self._gate.tokens, parameters.token, DownloadClaims)
        headers = {"Cache-Control": "no-store"} if parameters.no_cache else {}
        try:
            path = RelativePath.parse(parameters.dst_dir or "") / RelativePath.parse(claims.relpath)
            if parameters.archive or claims.archive:
                return await self._directory(request, claims, path, parameters)
            pace = self._gate.paces.of(parameters.token, claims.rate)
            return await send_file(
                self._gate, request, claims.volume, claims.vfid, path, headers=headers, pace=pace
            )
        except InvalidPathError:
            return file_not_found().response()
        except NotFoundError as error:
            if error.subject is Subject.FILE:
                return file_not_found().response()
            raise

    async def _directory(
        self, request: web.Request, claims: DownloadClaims, path: RelativePath, how: ArchiveParameters
    ) -> web.StreamResponse:
        """Send a directory; a file is what it would be without the wish for an archive."""
        volume, folder = claims.volume, claims.vfid
        pace = self._gate.paces.of(how.token, claims.rate)
        try:
            manifest = await self._gatherer(volume, folder).directory(path)
        except ConflictError as error:
            if error.facts.get("reason") != "not-a-directory":
                raise
            return await send_file(self._gate, request, volume, folder, path, pace=pace)
        name = how.filename or (folder.uuid.hex if path.is_root else path.name)
        archive = ArchiveOf(volume, folder, manifest, how.packing, name, pace)
        return await send_archive(self._gate, request, archive)

    async def selection(self, request: web.Request) -> web.StreamResponse:
        """Send several files and directories."""
        parameters = read_query(request, ArchiveParameters)
        claims = read_token(self._gate.tokens, parameters.token, ArchiveClaims)
        folder = claims.virtual_folder_id
        paths = [RelativePath.parse(name) for name in claims.files]
        manifest = await self._gatherer(claims.volume, folder).selection(paths)
        if not any(member.data is None for member in manifest.members):
            return file_not_found().response()
        name = parameters.filename or claims.filename or "download"
        pace = self._gate.paces.of(parameters.token, claims.rate)
        archive = ArchiveOf(claims.volume, folder, manifest, parameters.packing, name.removesuffix(".zip"), pace)
        return await send_archive(self._gate, request, archive)

    def _gatherer(self, volume: str, folder: VFolderId) -> Gatherer:
        return Gatherer(self._gate.files(volume, folder), self._gate.settings.archive_limit)
