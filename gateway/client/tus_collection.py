"""`/files`: the tus collection, for all clients that speak tus.

A token stands for one upload the manager has named, or for all uploads below a directory. Every request brings it,
as a Bearer token or in the query.
"""

from __future__ import annotations

from typing import Final

from aiohttp import web

from domain.errors import InvalidRequestError
from gateway.client.access import Access
from gateway.client.tus_answers import refusal, state_headers
from gateway.client.upload_flow import RefusedError, UploadFlow
from gateway.cors import Cors
from gateway.gate import Gate
from gateway.protocol import tus
from gateway.protocol.checksum import ALGORITHMS
from gateway.protocol.metadata import parse_metadata, wants_unpacking
from gateway.protocol.tus import Creation, Dialect
from gateway.tokens import CollectionClaims, UploadClaims
from gateway.transfer.receive import expect_later
from gateway.uploads.sessions import Known

_OVERRIDE = "X-HTTP-Method-Override"
#: Length up to which an upload is kept in memory until it is stored: what is buffered of any request anyway.
_SMALL_BYTES: Final = 64 << 10


class CollectionRoutes:
    """Creation, and the uploads created."""

    def __init__(self, gate: Gate, cors: Cors) -> None:
        self._gate = gate
        self._cors = cors
        self._access = Access(gate)
        self._flow = UploadFlow(gate)

    def routes(self) -> list[web.RouteDef]:
        """What this serves."""
        return [
            web.options("/files", self.options),
            web.post("/files", self.create, expect_handler=expect_later),
            web.options("/files/{session}", self.options),
            web.head("/files/{session}", self.head),
            web.patch("/files/{session}", self.patch, expect_handler=expect_later),
            web.delete("/files/{session}", self.terminate),
            web.post("/files/{session}", self.override, expect_handler=expect_later),
        ]

    async def options(self, request: web.Request) -> web.Response:
        """Say what the collection can, to tus clients and to browsers."""
        headers = {
            "Tus-Resumable": tus.VERSION,
            "Tus-Version": tus.VERSION,
            "Tus-Extension": ",".join(tus.EXTENSIONS),
            "Tus-Max-Size": str(self._gate.settings.max_upload_bytes),
            "Tus-Checksum-Algorithm": ",".join(ALGORITHMS),
        }
        if "Origin" in request.headers:
            headers |= self._cors.upload_preflight()
        return web.Response(status=204, headers=headers)

    async def override(self, request: web.Request) -> web.StreamResponse:
        """Serve clients that can only POST (section "X-HTTP-Method-Override")."""
        method = request.headers.get(_OVERRIDE, "").upper()
        handlers = {"PATCH": self.patch, "HEAD": self.head, "DELETE": self.terminate}
        if method not in handlers:
            raise web.HTTPMethodNotAllowed("POST", sorted([*handlers, "OPTIONS"]))
        return await handlers[method](request)

    async def create(self, request: web.Request) -> web.Response:
        """Begin an upload; with a body, store it as well."""
        refused = tus.check_version(request.headers, Dialect.STANDARD)
        if refused is not None:
            return refusal(refused)
        claims = self._access.token(request, even_expired=False)
        creation = tus.read_creation(request.headers, self._gate.settings.max_upload_bytes)
        if isinstance(claims, CollectionClaims) and self._is_small_and_whole(request, creation):
            session_id, view = await self._flow.store_whole(request, claims, creation)
        else:
            known = await self._create(claims, creation)
            session_id = known.session.id
            if isinstance(claims, CollectionClaims) and not tus.brings_body(request.headers):
                view = await self._flow.new(known)
            else:
                try:
                    view = await self._flow.store_first(request, claims, session_id)
                except RefusedError as error:
                    return refusal(error.refuse)
        response = web.Response(status=201, headers=state_headers(view, Dialect.STANDARD))
        response.headers["Location"] = self._access.location(request, "files", session_id)
        return response

    @staticmethod
    def _is_small_and_whole(request: web.Request, creation: Creation) -> bool:
        return tus.brings_all(request.headers, creation, _SMALL_BYTES) and not wants_unpacking(
            parse_metadata(creation.metadata)
        )

    async def _create(self, claims: UploadClaims | CollectionClaims, creation: Creation) -> Known:
        if isinstance(claims, CollectionClaims):
            return await self._gate.uploads.beginner.create_below(claims, creation)
        if creation.concat is not None:
            raise InvalidRequestError("the token is for one upload in one piece", field="Upload-Concat")
        if creation.length != claims.size:
            length = "one that is told later" if creation.length is None else creation.length
            raise InvalidRequestError(f"the token is for {claims.size} bytes, not {length}", field="Upload-Length")
        return await self._gate.uploads.beginner.create(claims, creation.metadata)

    async def head(self, request: web.Request) -> web.Response:
        """Tell how far an upload is."""
        claims, session_id = self._access.authorised(request)
        view = await self._flow.look(claims, session_id)
        return web.Response(headers=state_headers(view, Dialect.STANDARD))

    async def patch(self, request: web.Request) -> web.Response:
        """Store bytes."""
        claims, session_id = self._access.authorised(request)
        return await self._flow.store(request, claims, session_id, Dialect.STANDARD)

    async def terminate(self, request: web.Request) -> web.Response:
        """Drop an upload (extension termination)."""
        refused = tus.check_version(request.headers, Dialect.STANDARD)
        if refused is not None:
            return refusal(refused)
        claims, session_id = self._access.authorised(request)
        async with self._gate.uploads.use(claims, session_id) as opened:
            await self._gate.uploads.drop(opened)
        return web.Response(status=204)
