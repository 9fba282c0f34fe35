"""Uploads over HTTP: the token URL Backend.AI's clients use, and the tus collection of all other clients.

Both are tus; what differs is the dialect, where the token stands, and who begins the upload.
"""

from __future__ import annotations

from aiohttp import web

from domain.errors import InvalidRequestError, NotFoundError, Subject, UnauthenticatedError
from domain.paths import RelativePath
from gateway.client.tus_answers import refusal, state_headers
from gateway.cors import Cors
from gateway.gate import Gate
from gateway.parameters import Parameters, Text, read_query
from gateway.protocol import tus
from gateway.protocol.tus import Accept, Dialect, Refuse, UploadView
from gateway.tokens import UploadClaims
from gateway.transfer.receive import RequestBody, ask_for_body, expect_later
from gateway.uploads.session import UploadSession
from gateway.uploads.uploads import upload_path
from gateway.uploads.writer import Writer


class TokenParameters(Parameters):
    """A token, and a directory its path lies in."""

    token: Text
    dst_dir: str | None = None


class UploadRoutes:
    """`/upload?token=` and `/files`."""

    def __init__(self, gate: Gate, cors: Cors) -> None:
        self._gate = gate
        self._cors = cors

    def routes(self) -> list[web.RouteDef]:
        """What this serves."""
        return [
            web.options("/upload", self.token_options),
            web.head("/upload", self.token_head),
            web.patch("/upload", self.token_patch, expect_handler=expect_later),
            web.options("/files", self.options),
            web.post("/files", self.create, expect_handler=expect_later),
            web.options("/files/{session}", self.options),
            web.head("/files/{session}", self.head),
            web.patch("/files/{session}", self.patch, expect_handler=expect_later),
            web.delete("/files/{session}", self.terminate),
        ]

    # --- the token URL ------------------------------------------------------------------------------

    async def token_options(self, request: web.Request) -> web.Response:
        """Say what this URL can; no token is needed."""
        del request
        return web.Response(
            headers={
                "Tus-Resumable": tus.VERSION,
                "Tus-Version": tus.VERSION,
                "Tus-Max-Size": str(self._gate.settings.max_upload_bytes),
                "X-Content-Type-Options": "nosniff",
            }
        )

    async def token_head(self, request: web.Request) -> web.Response:
        """Tell how far an upload is."""
        claims, destination = self._token(request)
        view = await self._look(await self._gate.uploads.find(claims), destination)
        return web.Response(headers=state_headers(view, Dialect.BACKEND_AI))

    async def token_patch(self, request: web.Request) -> web.Response:
        """Store bytes."""
        claims, destination = self._token(request)
        session = await self._gate.uploads.find(claims)
        return await self._store(request, session, Dialect.BACKEND_AI, destination)

    def _token(self, request: web.Request) -> tuple[UploadClaims, RelativePath | None]:
        parameters = read_query(request, TokenParameters)
        claims = self._gate.tokens.read(parameters.token, UploadClaims)
        below = parameters.dst_dir
        return claims, upload_path(claims.relpath, below) if below is not None else None

    # --- the collection -----------------------------------------------------------------------------

    async def options(self, request: web.Request) -> web.Response:
        """Say what the collection can, to tus clients and to browsers."""
        headers = {
            "Tus-Resumable": tus.VERSION,
            "Tus-Version": tus.VERSION,
            "Tus-Extension": ",".join(tus.EXTENSIONS),
            "Tus-Max-Size": str(self._gate.settings.max_upload_bytes),
        }
        if "Origin" in request.headers:
            headers |= self._cors.upload_preflight()
        return web.Response(status=204, headers=headers)

    async def create(self, request: web.Request) -> web.Response:
        """Begin the upload a token stands for; with a body, store it as well."""
        refused = tus.check_version(request.headers, Dialect.STANDARD)
        if refused is not None:
            return refusal(refused)
        claims = self._collection_token(request)
        self._check_length(request, claims)
        metadata = request.headers.get("Upload-Metadata", "")
        tus.parse_metadata(metadata)
        session = await self._gate.uploads.create(claims, metadata)
        return await self._created(request, session)

    def _check_length(self, request: web.Request, claims: UploadClaims) -> None:
        length = tus.parse_length(request.headers)
        if length != claims.size:
            raise InvalidRequestError(f"the token is for {claims.size} bytes, not {length}", field="Upload-Length")

    async def _created(self, request: web.Request, session: UploadSession) -> web.Response:
        view = UploadView(0, session.length, session.metadata, session.expires)
        accept = tus.decide_create_with_upload(request.headers, view)
        if isinstance(accept, Refuse):
            return refusal(accept)
        if accept is not None:
            async with self._gate.uploads.writing(session) as writer:
                if writer.offset == 0:
                    await self._receive(request, writer, accept)
                view = self._view(writer)
            view = await self._finished(session, view, None)
        response = web.Response(status=201, headers=state_headers(view, Dialect.STANDARD))
        response.headers["Location"] = self._location(request, session)
        return response

    @staticmethod
    def _location(request: web.Request, session: UploadSession) -> str:
        """Relative, so that it is right behind any proxy; with the token if that came in the query."""
        token = request.query.get("token")
        return f"files/{session.id}" + (f"?token={token}" if token else "")

    async def head(self, request: web.Request) -> web.Response:
        """Tell how far an upload is."""
        view = await self._look(await self._authorised(request), None)
        return web.Response(headers=state_headers(view, Dialect.STANDARD))

    async def patch(self, request: web.Request) -> web.Response:
        """Store bytes."""
        return await self._store(request, await self._authorised(request), Dialect.STANDARD, None)

    async def terminate(self, request: web.Request) -> web.Response:
        """Drop an upload (extension termination)."""
        refused = tus.check_version(request.headers, Dialect.STANDARD)
        if refused is not None:
            return refusal(refused)
        await self._gate.uploads.drop(await self._authorised(request))
        return web.Response(status=204)

    async def _authorised(self, request: web.Request) -> UploadSession:
        claims = self._collection_token(request)
        if request.match_info["session"] != claims.session:
            # Whether somebody else's upload exists is nobody else's business.
            raise NotFoundError("not the token's upload", subject=Subject.UPLOAD)
        return await self._gate.uploads.find(claims)

    def _collection_token(self, request: web.Request) -> UploadClaims:
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        if kind.lower() == "bearer":
            return self._gate.tokens.read(token.strip(), UploadClaims)
        if "token" not in request.query:
            raise UnauthenticatedError("is required")
        return self._gate.tokens.read(read_query(request, TokenParameters).token, UploadClaims)

    # --- both ---------------------------------------------------------------------------------------

    async def _look(self, session: UploadSession, destination: RelativePath | None) -> UploadView:
        """How far an upload is; one whose last byte is stored is finished first."""
        async with self._gate.uploads.writing(session) as writer:
            view = self._view(writer)
        return await self._finished(session, view, destination)

    async def _store(
        self, request: web.Request, session: UploadSession, dialect: Dialect, destination: RelativePath | None
    ) -> web.Response:
        async with self._gate.uploads.writing(session) as writer:
            decision = tus.decide_patch(request.headers, self._view(writer), dialect)
            if isinstance(decision, Refuse):
                return refusal(decision)
            await self._receive(request, writer, decision)
            view = self._view(writer)
        view = await self._finished(session, view, destination)
        return web.Response(status=204, headers=state_headers(view, dialect))

    async def _receive(self, request: web.Request, writer: Writer, accept: Accept) -> None:
        self._gate.observer.transferring("upload", 1)
        try:
            await ask_for_body(request)
            body = RequestBody(request, self._gate.settings.idle_seconds)
            await writer.store(body, accept.limit, self._gate.settings.write_bytes)
        finally:
            self._gate.observer.transferring("upload", -1)

    async def _finished(
        self, session: UploadSession, view: UploadView, destination: RelativePath | None
    ) -> UploadView:
        if view.offset == view.length:
            await self._gate.uploads.finish(session, destination)
        return view

    @staticmethod
    def _view(writer: Writer) -> UploadView:
        session = writer.session
        expires = None if writer.offset == session.length else session.expires
        return UploadView(writer.offset, session.length, session.metadata, expires)
