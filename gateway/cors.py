"""Cross-origin requests from browsers (Fetch standard), on the client port.

Access is given by tokens, never by cookies, so any origin may ask by default. Lists are written out, because a
wildcard means nothing in answers to requests with credentials.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from aiohttp import web

_MAX_AGE_SECONDS: Final = 86400
_UPLOAD_METHODS: Final = "POST, HEAD, PATCH, DELETE, OPTIONS"
_UPLOAD_HEADERS: Final = (
    "Authorization, Content-Type, Tus-Resumable, Upload-Length, Upload-Offset, Upload-Metadata, "
    "Upload-Defer-Length, Upload-Concat, Upload-Checksum, Upload-Complete, Upload-Draft-Interop-Version, "
    "X-HTTP-Method-Override, X-Request-ID, X-Requested-With"
)
_UPLOAD_EXPOSED: Final = (
    "Upload-Offset, Upload-Length, Upload-Metadata, Upload-Expires, Upload-Defer-Length, Upload-Concat, Location, "
    "Tus-Resumable, Tus-Version, Tus-Extension, Tus-Max-Size, Tus-Checksum-Algorithm, Upload-Complete, "
    "Upload-Limit, Retry-After, X-Request-ID"
)
_DOWNLOAD_HEADERS: Final = "Range, If-Range, If-Match, If-None-Match, If-Modified-Since, If-Unmodified-Since"
_DOWNLOAD_EXPOSED: Final = (
    "Accept-Ranges, Content-Disposition, Content-Length, Content-Range, Date, ETag, Last-Modified, Server"
)
#: What Backend.AI's proxy says on its upload URL, whoever asks.
_PEER_UPLOAD: Final = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Headers": "Tus-Resumable, Upload-Length, Upload-Metadata, Upload-Offset, Content-Type",
    "Access-Control-Expose-Headers": "Tus-Resumable, Upload-Length, Upload-Metadata, Upload-Offset, Content-Type",
    "Access-Control-Allow-Methods": "*",
}


class Cors:
    """Puts the access-control fields on answers."""

    def __init__(self, allow_origins: Sequence[str]) -> None:
        self._any = "*" in allow_origins
        self._origins = frozenset(allow_origins)

    async def sign(self, request: web.Request, response: web.StreamResponse) -> None:
        """Signal handler: every answer, errors included, can be read by the page that asked."""
        if request.path == "/upload":
            response.headers.update(_PEER_UPLOAD)
            return
        origin = self._allowed(request)
        if origin is None:
            return
        upload = request.path.startswith(("/files", "/uploads"))
        response.headers["Access-Control-Allow-Origin"] = origin
        response.headers["Access-Control-Allow-Credentials"] = "true"
        response.headers["Access-Control-Expose-Headers"] = _UPLOAD_EXPOSED if upload else _DOWNLOAD_EXPOSED
        response.headers["Vary"] = "Origin"

    def preflight(self, request: web.Request) -> web.Response:
        """Answer an OPTIONS request of a page about `/` or `/download`."""
        if self._allowed(request) is None:
            reason = "is not specified in the request" if "Origin" not in request.headers else "is not allowed"
            return web.Response(status=403, text=f"CORS preflight request failed: origin header {reason}")
        return web.Response(
            headers={
                "Access-Control-Allow-Methods": "GET, HEAD",
                "Access-Control-Allow-Headers": _DOWNLOAD_HEADERS,
                "Access-Control-Max-Age": str(_MAX_AGE_SECONDS),
            }
        )

    def upload_preflight(self) -> dict[str, str]:
        """What an OPTIONS answer about `/files` says besides."""
        return {
            "Access-Control-Allow-Methods": _UPLOAD_METHODS,
            "Access-Control-Allow-Headers": _UPLOAD_HEADERS,
            "Access-Control-Max-Age": str(_MAX_AGE_SECONDS),
        }

    def _allowed(self, request: web.Request) -> str | None:
        origin = request.headers.get("Origin")
        return origin if origin and (self._any or origin in self._origins) else None
