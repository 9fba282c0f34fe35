"""`/uploads`: resumable uploads as the IETF drafts them, where the settings switch them on."""

from __future__ import annotations

import base64
from typing import Any, Final

from aiohttp import web

from domain.errors import InvalidRequestError
from gateway.client.access import Access
from gateway.client.upload_flow import UploadFlow
from gateway.gate import Gate
from gateway.problems import Problem
from gateway.protocol import resumable
from gateway.protocol.resumable import Append, InconsistentLengthError, boolean
from gateway.protocol.tus import Accept, Creation
from gateway.tokens import CollectionClaims, UploadClaims
from gateway.transfer.receive import expect_later
from gateway.uploads.opened import OpenUpload
from gateway.uploads.session import UploadSession, UploadState
from gateway.uploads.sessions import Known

_PROBLEMS: Final = "https://iana.org/assignments/http-problem-types#"


class ResumableRoutes:
    """Creation, and the uploads created."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._access = Access(gate)
        self._flow = UploadFlow(gate)
        self._max_bytes = gate.settings.max_upload_bytes

    def routes(self) -> list[web.RouteDef]:
        """What this serves; nothing unless it is switched on."""
        if not self._gate.settings.resumable_uploads:
            return []
        return [
            web.options("/uploads", self.options),
            web.post("/uploads", self.create, expect_handler=expect_later),
            web.get("/uploads/{session}", self.look),
            web.patch("/uploads/{session}", self.append, expect_handler=expect_later),
            web.delete("/uploads/{session}", self.cancel),
        ]

    async def options(self, request: web.Request) -> web.Response:
        """Tell the limits (section 4.1.4)."""
        del request
        return web.Response(status=204, headers={"Upload-Limit": resumable.limits(self._max_bytes)})

    async def create(self, request: web.Request) -> web.StreamResponse:
        """Begin an upload, with as much of it as the request has (section 4.2)."""
        claims = self._access.token(request, even_expired=False)
        try:
            append = resumable.read_append(request.headers, 0, self._size(claims), self._max_bytes)
        except InconsistentLengthError as error:
            return _inconsistent(error)
        known = await self._begin(request, claims, append)
        location = self._access.location(request, "uploads", known.session.id)
        await self._tell_location(request, location, known.session)
        async with self._gate.uploads.use(claims, known.session.id) as opened:
            if opened.offset == 0:
                await self._receive(request, opened, append, 0)
        await self._gate.uploads.finish(opened)
        status = 200 if append.complete else 201
        return web.Response(status=status, headers={**self._headers(opened), "Location": location})

    @staticmethod
    def _size(claims: UploadClaims | CollectionClaims) -> int | None:
        return claims.size if isinstance(claims, UploadClaims) else None

    async def _begin(self, request: web.Request, claims: UploadClaims | CollectionClaims, append: Append) -> Known:
        digest = resumable.announced_sha256(request.headers)
        pairs = {"filename": resumable.file_name(request.headers) or "", "sha256": digest}
        metadata = ",".join(
            f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in pairs.items() if value
        )
        if isinstance(claims, UploadClaims):
            return await self._gate.uploads.beginner.create(claims, metadata)
        if "filename" not in metadata:
            raise InvalidRequestError("must name the file", field="Content-Disposition")
        return await self._gate.uploads.beginner.create_below(claims, Creation(append.length, metadata, None))

    async def _tell_location(self, request: web.Request, location: str, session: UploadSession) -> None:
        """104 (Upload Resumption Supported): from now on the client can come back (section 5)."""
        if resumable.speaks_interop(request.headers) and request.version >= (1, 1):
            limit = resumable.limits(self._max_bytes, session.expires - self._gate.bus.clock.now())
            lines = (
                "HTTP/1.1 104 Upload Resumption Supported",
                f"Location: {location}",
                f"Upload-Draft-Interop-Version: {resumable.INTEROP}",
                f"Upload-Limit: {limit}",
            )
            await request.writer.write("\r\n".join((*lines, "", "")).encode())

    async def look(self, request: web.Request) -> web.Response:
        """Tell how far an upload is (section 4.3)."""
        claims, session_id = self._access.authorised(request)
        async with self._gate.uploads.use(claims, session_id) as opened:
            pass
        await self._gate.uploads.finish(opened)
        return web.Response(status=204, headers=self._headers(opened))

    async def append(self, request: web.Request) -> web.StreamResponse:
        """Store more bytes (section 4.4)."""
        claims, session_id = self._access.authorised(request)
        kind = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if kind != resumable.CONTENT_TYPE:
            return _problem(415, "about:blank", f"the content type must be {resumable.CONTENT_TYPE}")
        offset = resumable.read_offset(request.headers)
        async with self._gate.uploads.use(claims, session_id) as opened:
            if opened.offset != offset:
                return self._mismatch(opened, offset)
            try:
                append = resumable.read_append(request.headers, offset, opened.session.length, self._max_bytes)
            except InconsistentLengthError as error:
                return _inconsistent(error)
            await self._receive(request, opened, append, offset)
        await self._gate.uploads.finish(opened)
        status = 200 if append.complete else 204
        return web.Response(status=status, headers=self._headers(opened))

    async def _receive(self, request: web.Request, opened: OpenUpload, append: Append, offset: int) -> None:
        told = append.length if opened.session.length is None else None
        limit = (append.length if append.length is not None else self._max_bytes) - offset
        await self._flow.receive(request, opened, Accept(offset, limit, told))
        if append.complete and opened.session.length is None:
            await self._gate.uploads.end_here(opened)

    async def cancel(self, request: web.Request) -> web.Response:
        """Drop an upload (section 4.5)."""
        claims, session_id = self._access.authorised(request)
        async with self._gate.uploads.use(claims, session_id) as opened:
            await self._gate.uploads.drop(opened)
        return web.Response(status=204)

    def _headers(self, opened: OpenUpload) -> dict[str, str]:
        session = opened.session
        complete = session.state is UploadState.COMMITTED
        offset = session.length if complete else opened.offset
        age = None if complete else session.expires - self._gate.bus.clock.now()
        headers = {
            "Upload-Complete": boolean(complete),
            "Upload-Offset": str(offset),
            "Upload-Limit": resumable.limits(self._max_bytes, age),
            "Cache-Control": "no-store",
        }
        if session.length is not None:
            headers["Upload-Length"] = str(session.length)
        return headers

    def _mismatch(self, opened: OpenUpload, given: int) -> web.Response:
        expected = opened.offset
        message = f"the upload goes on at {expected}, not at {given}"
        numbers = {"expected-offset": expected, "provided-offset": given}
        response = _problem(409, "mismatching-upload-offset", message, **numbers)
        response.headers.update(self._headers(opened))
        return response


def _inconsistent(error: InconsistentLengthError) -> web.Response:
    return _problem(400, "inconsistent-upload-length", error.message)


def _problem(status: int, name: str, title: str, **members: Any) -> web.Response:
    kind = name if ":" in name else f"{_PROBLEMS}{name}"
    return Problem(status, kind, title, "storage-proxy_request_invalid-parameters", members).response()
