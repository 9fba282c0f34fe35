"""`/upload?token=`: the URL Backend.AI's clients send their files to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from aiohttp import web

from domain.errors import NotFoundError, UnauthenticatedError
from gateway.client.access import TokenParameters
from gateway.client.clear import of_tus
from gateway.client.overriding import others
from gateway.client.tus_answers import expect, state_headers
from gateway.client.upload_flow import Ending, UploadFlow
from gateway.cors import Cors
from gateway.gate import Gate
from gateway.parameters import Bool, read_query
from gateway.protocol import tus
from gateway.protocol.tus import Dialect
from gateway.tokens import UploadClaims
from gateway.uploads.places import upload_path


class UploadParameters(TokenParameters):
    """A token, and a directory its path lies in."""

    dst_dir: str | None = None
    extract: Bool = False


class TokenUploadRoutes:
    """One upload, begun by the manager."""

    def __init__(self, gate: Gate, cors: Cors) -> None:
        self._gate = gate
        self._cors = cors
        self._flow = UploadFlow(gate)

    def routes(self) -> list[web.RouteDef]:
        """What this serves."""
        return [
            web.options("/upload", self.options, expect_handler=expect),
            *of_tus(Dialect.BACKEND_AI, web.head("/upload", self.head), web.patch("/upload", self.patch)),
            others("/upload"),
        ]

    async def options(self, request: web.Request) -> web.Response:
        """Say what this URL can; no token is needed."""
        headers = {
            "Tus-Resumable": tus.VERSION,
            "Tus-Version": tus.VERSION,
            "Tus-Max-Size": str(self._gate.settings.max_upload_bytes),
            "X-Content-Type-Options": "nosniff",
        }
        if "Origin" in request.headers:
            headers |= self._cors.peer_upload_preflight()
        return web.Response(headers=headers)

    async def head(self, request: web.Request) -> web.Response:
        """Tell how far the upload is."""
        parameters = read_query(request, UploadParameters)
        claims, ending = self._token(parameters)
        with self._expiry_first(parameters):
            view = await self._flow.look(claims, claims.session, ending)
        return web.Response(headers=state_headers(view, Dialect.BACKEND_AI))

    async def patch(self, request: web.Request) -> web.Response:
        """Store bytes."""
        parameters = read_query(request, UploadParameters)
        claims, ending = self._token(parameters)
        with self._expiry_first(parameters):
            return await self._flow.store(request, claims, claims.session, Dialect.BACKEND_AI, ending)

    @contextmanager
    def _expiry_first(self, parameters: UploadParameters) -> Iterator[None]:
        """A token that began nothing before it expired is told to be expired, not to have begun nothing."""
        try:
            yield
        except (NotFoundError, UnauthenticatedError):
            self._gate.tokens.read(parameters.token, UploadClaims)
            raise

    def _token(self, parameters: UploadParameters) -> tuple[UploadClaims, Ending]:
        claims = self._gate.tokens.read(parameters.token, UploadClaims, even_expired=True)
        below = parameters.dst_dir
        destination = upload_path(claims.relpath, below) if below is not None else None
        return claims, Ending(destination, unpack=parameters.extract)
