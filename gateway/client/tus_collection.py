"""`/files`: the tus collection, for all clients that speak tus.

A token stands for one upload the manager has named, or for all uploads below a directory. Every request brings it,
as a Bearer token or in the query.
"""

from __future__ import annotations

from aiohttp import web

from gateway.client.access import Access
from gateway.client.clear import of_tus
from gateway.client.creation_flow import CreationFlow
from gateway.client.finished_uploads import send_finished
from gateway.client.overriding import not_allowed, others
from gateway.client.tus_answers import expect, refusal, state_headers
from gateway.client.upload_flow import UploadFlow
from gateway.cors import Cors
from gateway.gate import Gate
from gateway.protocol import tus
from gateway.protocol.checksum import ALGORITHMS
from gateway.protocol.tus import Dialect, Refuse


class CollectionRoutes:
    """Creation, and the uploads created."""

    def __init__(self, gate: Gate, cors: Cors) -> None:
        self._gate = gate
        self._cors = cors
        self._access = Access(gate)
        self._flow = UploadFlow(gate)
        self._creations = CreationFlow(gate)

    def routes(self) -> list[web.RouteDef]:
        """What this serves."""
        upload = "/files/{session}"
        return [
            *of_tus(
                Dialect.STANDARD,
                *[web.options(path, self.options) for path in ("/files", "/files/", upload)],
                *[web.post(path, self.create) for path in ("/files", "/files/")],
                web.get(upload, self.read, allow_head=False),
                web.head(upload, self.head),
                web.patch(upload, self.patch),
                web.delete(upload, self.terminate),
            ),
            web.post(upload, self.post, expect_handler=expect),
            *[others(path) for path in ("/files", "/files/", upload)],
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

    async def post(self, request: web.Request) -> web.StreamResponse:
        """Refuse what does not say which method it means; who says that is served as that (`overriding`)."""
        raise not_allowed(request)

    async def create(self, request: web.Request) -> web.Response:
        """Begin an upload; with a body, store it as well."""
        claims = self._access.token(request, even_expired=False)
        most = self._gate.settings.max_upload_bytes
        creation = tus.read_creation(request.headers, most)
        accept = tus.decide_first_body(request.headers, creation, most)
        if isinstance(accept, Refuse):
            return refusal(accept)
        session_id, view = await self._creations.begin(request, claims, creation, accept)
        headers = state_headers(view, Dialect.STANDARD)
        headers.pop("Upload-Concat", None)  # as the client has just said; with very many parts it is very long
        headers["Location"] = self._access.location(request, "files", session_id)
        return web.Response(status=201, headers=headers)

    async def read(self, request: web.Request) -> web.StreamResponse:
        """Send the file of a finished upload."""
        claims, session_id = self._access.authorised(request, even_expired=False)
        return await send_finished(self._gate, request, claims, session_id)

    async def head(self, request: web.Request) -> web.Response:
        """Tell how far an upload is."""
        claims, session_id = self._access.authorised(request)
        view = await self._flow.look(claims, session_id)
        return web.Response(headers=state_headers(view, Dialect.STANDARD))

    async def patch(self, request: web.Request) -> web.Response:
        """Store bytes."""
        refused = tus.check_content_type(request.headers, Dialect.STANDARD)
        if refused is not None:
            return refusal(refused)
        claims, session_id = self._access.authorised(request)
        return await self._flow.store(request, claims, session_id, Dialect.STANDARD)

    async def terminate(self, request: web.Request) -> web.Response:
        """Drop an upload (extension termination)."""
        claims, session_id = self._access.authorised(request)
        await self._gate.uploads.terminate(claims, session_id)
        return web.Response(status=204)
