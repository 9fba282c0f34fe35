"""`/download?token=`: a file by ranges, or a directory as an archive; `/download-archive?token=`: several."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Literal

from aiohttp import web

from backends.outside import place_of
from domain.errors import (
    ConflictError,
    ForbiddenError,
    InvalidPathError,
    InvalidRequestError,
    NotFoundError,
    Subject,
)
from domain.foreign_names import read_path
from domain.paths import RelativePath
from gateway.archive.answer import ArchiveOf, Packing, send_archive
from gateway.archive.manifest import Gatherer
from gateway.client.selecting import Selecting
from gateway.cors import Cors
from gateway.download import send_file
from gateway.gate import Gate
from gateway.parameters import Bool, Parameters, Text, read_query
from gateway.problems import file_not_found
from gateway.protocol.disposition import shown
from gateway.protocol.inline import inline_type
from gateway.selections import Selections
from gateway.stock import Stock
from gateway.tokens import ArchiveClaims, DownloadClaims


class ArchiveParameters(Parameters):
    """How an archive is to be made."""

    token: Text
    format: Literal["zip", "tar", "tar.gz", "tar.zst"] = "zip"
    compress: Literal["stored", "deflate"] = "stored"
    filename: str | None = None
    strict: Bool = False
    no_cache: Bool = False

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
    inline: Bool = False

    def fields(self, name: str) -> dict[str, str]:
        """Header fields of a file's answer, besides those of anything that is offered to be saved."""
        media_type = inline_type(name) if self.inline else None
        fields = {} if media_type is None else shown(name, media_type)
        return {**fields, "Cache-Control": "no-store"} if self.no_cache else fields


class DownloadRoutes:
    """Downloads."""

    def __init__(self, gate: Gate, cors: Cors) -> None:
        self._gate = gate
        self._cors = cors
        self._selections = Selections(gate.bus, gate.tokens)

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
        claims = self._gate.tokens.read(parameters.token, DownloadClaims)
        try:
            path = read_path(parameters.dst_dir or "") / read_path(claims.relpath)
            async with self._stock(claims) as stock:
                if parameters.archive or claims.archive:
                    return await self._directory(request, claims, stock, path, parameters)
                return await self._file(request, claims, stock, path, parameters)
        except InvalidPathError:
            return file_not_found().response()
        except NotFoundError as error:
            if error.subject is Subject.FILE:
                return file_not_found().response()
            raise

    @asynccontextmanager
    async def _stock(self, claims: DownloadClaims) -> AsyncIterator[Stock]:
        """What a token is for.

        Raises:
            ForbiddenError: a directory that may not be read, whoever signs for it.
        """
        outside = claims.unmanaged_path
        if outside is None:
            yield self._gate.stock(claims.volume, claims.vfid)
            return
        if not self._gate.outside.admits(outside):
            told = {"unmanaged_path": "no directory that may be read"}
            raise ForbiddenError(f"the token is not for {claims.purpose}", token=told)
        async with self._gate.stock_outside(outside) as stock:
            yield stock

    async def _file(
        self,
        request: web.Request,
        claims: DownloadClaims,
        stock: Stock,
        path: RelativePath,
        how: DownloadParameters,
    ) -> web.StreamResponse:
        pace = self._gate.paces.of(how.token, claims.rate)
        return await send_file(self._gate, request, stock, path, headers=how.fields(path.name), pace=pace)

    async def _directory(
        self,
        request: web.Request,
        claims: DownloadClaims,
        stock: Stock,
        path: RelativePath,
        how: DownloadParameters,
    ) -> web.StreamResponse:
        """Send a directory; a file is what it would be without the wish for an archive."""
        with self._gate.archived.of_archive() as take:
            try:
                manifest = await Gatherer(stock.files, self._most, take).directory(path)
            except ConflictError as error:
                if error.facts.get("reason") != "not-a-directory":
                    raise
                return await self._file(request, claims, stock, path, how)
            name = how.filename or path.name or _name_of_root(claims)
            return await self._packed(request, ArchiveOf(stock, manifest, how.packing, name), claims.rate, how)

    async def selection(self, request: web.Request) -> web.StreamResponse:
        """Send several files and directories."""
        parameters = read_query(request, ArchiveParameters)
        claims = self._gate.tokens.read(parameters.token, ArchiveClaims)
        volume, folder = claims.volume, claims.virtual_folder_id
        names = await self._selections.names(claims)
        with self._gate.archived.of_archive() as take:
            manifest = await Selecting(self._gate.files(volume, folder), self._most, take).manifest(names)
            if not manifest.members:
                return file_not_found().response()
            name = (parameters.filename or claims.filename or "download").removesuffix(".zip")
            archive = ArchiveOf(self._gate.stock(volume, folder), manifest, parameters.packing, name)
            return await self._packed(request, archive, claims.rate, parameters)

    async def _packed(
        self, request: web.Request, archive: ArchiveOf, rate: int | None, how: ArchiveParameters
    ) -> web.StreamResponse:
        """Send an archive in the way that was asked for."""
        pace = self._gate.paces.of(how.token, rate)
        archive = replace(archive, pace=pace, strict=how.strict, no_cache=how.no_cache)
        return await send_archive(self._gate, request, archive)

    @property
    def _most(self) -> int:
        """Members an archive may have."""
        return self._gate.settings.archive_limit


def _name_of_root(claims: DownloadClaims) -> str:
    """What an archive of all there is is called: as the directory, or as the folder, which has no name."""
    outside = place_of(claims.unmanaged_path) if claims.unmanaged_path is not None else None
    return outside.name if outside is not None and outside.name else claims.vfid.uuid.hex
