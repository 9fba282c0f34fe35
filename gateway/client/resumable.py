"""`/uploads`: resumable uploads as the IETF drafts them, where the settings switch them on.

POST begins an upload below the directory its token stands for, and names the file. A token for one upload names it
already, so PUT does as well as POST. Below the collection there are uploads and no files: a PUT there would name
nothing that could be had back there.
"""

from __future__ import annotations

from functools import partial

from aiohttp import web

from gateway.client.access import Access
from gateway.client.clear import clear
from gateway.client.resumable_answers import Answers, is_complete
from gateway.client.resumable_flow import ResumableFlow
from gateway.cors import Cors
from gateway.gate import Gate
from gateway.protocol import resumable
from gateway.protocol.resumable import MismatchingOffsetError
from gateway.tokens import CollectionClaims, UploadClaims
from gateway.transfer.receive import expect_later
from gateway.uploads.sessions import Known


class ResumableRoutes:
    """Creation, and the uploads created."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._access = Access(gate)
        self._answers = Answers(gate)
        self._cors = Cors(gate.settings.allow_origins)
        self._flow = ResumableFlow(gate)

    def routes(self) -> list[web.RouteDef]:
        """What this serves; nothing unless it is switched on."""
        if not self._gate.settings.resumable_uploads:
            return []
        upload = "/uploads/{session}"
        return [
            *[web.options(path, self.options) for path in ("/uploads", upload)],
            web.post("/uploads", self.create, expect_handler=expect_later),
            web.put("/uploads", self.put, expect_handler=expect_later),
            web.get(upload, self.look),
            web.patch(upload, self.append, expect_handler=expect_later),
            web.delete(upload, clear(self.cancel)),
        ]

    async def options(self, request: web.Request) -> web.Response:
        """Tell the limits (section 4.1.4), and browsers what their pages may send."""
        headers = {"Accept-Patch": resumable.CONTENT_TYPE, "Upload-Limit": self._answers.limits()}
        if "Origin" in request.headers:
            headers |= self._cors.resumable_preflight()
        return web.Response(headers=headers)

    async def create(self, request: web.Request) -> web.StreamResponse:
        """Begin an upload, with as much of it as the request has (section 4.2)."""
        claims = self._access.token(request, even_expired=False)
        return await self._answers.guarded(request, partial(self._create, claims), sends=True)

    async def put(self, request: web.Request) -> web.StreamResponse:
        """Begin the upload a token names; the same as POST."""
        claims = self._access.token(request, even_expired=False)
        if isinstance(claims, CollectionClaims):
            raise web.HTTPMethodNotAllowed("PUT", ["POST", "OPTIONS"])
        return await self._answers.guarded(request, partial(self._put, claims), sends=True)

    async def _put(self, claims: UploadClaims, request: web.Request) -> web.StreamResponse:
        resumable.check_begins_at_first_byte(request.headers)
        return await self._create(claims, request)

    async def _create(self, claims: UploadClaims | CollectionClaims, request: web.Request) -> web.StreamResponse:
        append = resumable.read_append(request.headers, 0)
        known = await self._flow.begin(request, claims, append)
        location = self._access.location(request, "uploads", known.session.id)
        told = False
        try:
            told = await self._tell_location(request, location, known)
            opened = await self._flow.fill(request, claims, known.session.id, append)
        except MismatchingOffsetError as error:
            error.location = location
            raise
        except Exception:
            if not told and isinstance(claims, CollectionClaims):
                await self._flow.undo(known)
            raise
        headers = {**self._answers.state(request, opened), "Location": location}
        return web.Response(status=200 if is_complete(opened) else 201, headers=headers)

    async def _tell_location(self, request: web.Request, location: str, known: Known) -> bool:
        """104 (Upload Resumption Supported): from now on the client can come back (section 5)."""
        version = resumable.interop_version(request.headers)
        if version is None or request.version < (1, 1):
            return False
        lines = (
            "HTTP/1.1 104 Upload Resumption Supported",
            f"Location: {location}",
            f"Upload-Draft-Interop-Version: {version}",
            f"Upload-Limit: {self._answers.limits(known.session.expires)}",
        )
        await request.writer.write("\r\n".join((*lines, "", "")).encode())
        return True

    async def look(self, request: web.Request) -> web.StreamResponse:
        """Tell how far an upload is (section 4.3)."""
        return await self._answers.guarded(request, self._look, sends=False)

    async def _look(self, request: web.Request) -> web.StreamResponse:
        claims, session_id = self._access.authorised(request)
        opened = await self._flow.look(claims, session_id)
        return web.Response(status=204, headers=self._answers.state(request, opened))

    async def append(self, request: web.Request) -> web.StreamResponse:
        """Store more bytes (section 4.4)."""
        return await self._answers.guarded(request, self._append, sends=True)

    async def _append(self, request: web.Request) -> web.StreamResponse:
        claims, session_id = self._access.authorised(request)
        resumable.check_content_type(request.headers)
        append = resumable.read_append(request.headers, resumable.read_offset(request.headers))
        opened = await self._flow.append(request, claims, session_id, append)
        status = 200 if is_complete(opened) else 204
        return web.Response(status=status, headers=self._answers.state(request, opened))

    async def cancel(self, request: web.Request) -> web.Response:
        """Drop an upload, whoever sends it now (section 4.5)."""
        claims, session_id = self._access.authorised(request)
        await self._flow.drop(claims, session_id)
        return web.Response(status=204)
