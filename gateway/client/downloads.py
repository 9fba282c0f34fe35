"""`GET|HEAD /download?token=`: one file, whole or by range."""

from __future__ import annotations

from aiohttp import web

from domain.errors import InvalidPathError, NotFoundError, Subject, UnsupportedError
from domain.paths import RelativePath
from gateway.cors import Cors
from gateway.download import send_file
from gateway.gate import Gate
from gateway.parameters import Bool, Parameters, Text, read_query
from gateway.problems import file_not_found
from gateway.tokens import DownloadClaims


class DownloadParameters(Parameters):
    """A token, and a directory its path lies in."""

    token: Text
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
        return [web.get("/download", self.download), web.options("/download", self.options)]

    async def options(self, request: web.Request) -> web.Response:
        """Answer a page's preflight request."""
        return self._cors.preflight(request)

    async def download(self, request: web.Request) -> web.StreamResponse:
        """Send what the token names; a file that may not be reached is as good as not there."""
        parameters = read_query(request, DownloadParameters)
        claims = self._gate.tokens.read(parameters.token, DownloadClaims)
        if parameters.archive or claims.archive:
            raise UnsupportedError("directories cannot be downloaded as archives")
        headers = {"Cache-Control": "no-store"} if parameters.no_cache else {}
        try:
            path = RelativePath.parse(parameters.dst_dir or "") / RelativePath.parse(claims.relpath)
            return await send_file(self._gate, request, claims.volume, claims.vfid, path, headers=headers)
        except InvalidPathError:
            return file_not_found().response()
        except NotFoundError as error:
            if error.subject is Subject.FILE:
                return file_not_found().response()
            raise
