"""Cross-origin requests from browsers (Fetch standard), on the client port.

Access is given by tokens, never by cookies, so any origin may ask by default. Lists are written out, because a
wildcard means nothing in answers to requests with credentials.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from aiohttp import web

_MAX_AGE_SECONDS: Final = 86400
_UPLOAD_METHODS: Final = "GET, HEAD, POST, PATCH, DELETE, OPTIONS"
#: The IETF's resumable uploads begin by PUT as well.
_RESUMABLE_METHODS: Final = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
_DOWNLOAD_METHODS: Final = "GET, HEAD"
#: What a page may send: the fields of tus, of the IETF's uploads, of digests, conditions and ranges.
ALLOWED: Final = (
    "Authorization",
    "Content-Type",
    "Tus-Resumable",
    "Upload-Length",
    "Upload-Offset",
    "Upload-Metadata",
    "Upload-Defer-Length",
    "Upload-Concat",
    "Upload-Checksum",
    "Upload-Complete",
    "Upload-Draft-Interop-Version",
    "Content-Disposition",
    "Content-Digest",
    "Repr-Digest",
    "Want-Content-Digest",
    "Want-Repr-Digest",
    "Range",
    "If-Range",
    "If-Match",
    "If-None-Match",
    "If-Modified-Since",
    "If-Unmodified-Since",
    "Idempotency-Key",
    "X-HTTP-Method-Override",
    "X-Request-ID",
    "X-Requested-With",
)
#: What a page may read of any answer, refusals included.
EXPOSED: Final = (
    "Upload-Offset",
    "Upload-Length",
    "Upload-Metadata",
    "Upload-Expires",
    "Upload-Defer-Length",
    "Upload-Concat",
    "Upload-Complete",
    "Upload-Limit",
    "Location",
    "Tus-Resumable",
    "Tus-Version",
    "Tus-Extension",
    "Tus-Max-Size",
    "Tus-Checksum-Algorithm",
    "Accept-Ranges",
    "Content-Digest",
    "Content-Disposition",
    "Content-Length",
    "Content-Range",
    "Content-Type",
    "Date",
    "ETag",
    "Last-Modified",
    "Repr-Digest",
    "Retry-After",
    "Server",
    "X-Checksum-Sha256",
    "X-Request-ID",
)
#: And of answers of the IETF's resumable uploads.
RESUMABLE: Final = ("Accept-Patch", "Upload-Draft-Interop-Version")
_ALLOWED: Final = ", ".join(ALLOWED)
_EXPOSED: Final = ", ".join(EXPOSED)
_EXPOSED_RESUMABLE: Final = ", ".join((*EXPOSED, *RESUMABLE))
#: What is said whether there was an origin or not: a cache has to tell the answers apart (RFC 9110 section 12.5.5).
_VARY: Final = {"Vary": "Origin"}
#: What is said on Backend.AI's upload URL where any origin may ask; there access is never given to credentials.
_PEER_UPLOAD: Final = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Headers": _ALLOWED,
    "Access-Control-Expose-Headers": _EXPOSED,
    "Access-Control-Allow-Methods": "*",
}


class Cors:
    """Puts the access-control fields on answers."""

    def __init__(self, allow_origins: Sequence[str]) -> None:
        self._any = "*" in allow_origins
        self._origins = frozenset(allow_origins)
        #: What every answer on Backend.AI's upload URL says, also to who names no origin.
        self.peer_upload: Mapping[str, str] = _PEER_UPLOAD if self._any else _VARY

    async def sign(self, request: web.Request, response: web.StreamResponse) -> None:
        """Signal handler: every answer, errors included, can be read by the page that asked."""
        if request.path == "/upload" and self._any:
            response.headers.update(self.peer_upload)
            return
        response.headers.update(_VARY)
        origin = self._allowed(request)
        if origin is None:
            return
        response.headers["Access-Control-Allow-Origin"] = origin
        response.headers["Access-Control-Allow-Credentials"] = "true"
        is_resumable = request.path == "/uploads" or request.path.startswith("/uploads/")
        response.headers["Access-Control-Expose-Headers"] = _EXPOSED_RESUMABLE if is_resumable else _EXPOSED

    def preflight(self, request: web.Request) -> web.Response:
        """Answer an OPTIONS request of a page about `/` or `/download`."""
        if self._allowed(request) is None:
            reason = "is not specified in the request" if "Origin" not in request.headers else "is not allowed"
            return web.Response(status=403, text=f"CORS preflight request failed: origin header {reason}")
        return web.Response(headers=_preflight(_DOWNLOAD_METHODS))

    def peer_upload_preflight(self) -> dict[str, str]:
        """What an OPTIONS answer on Backend.AI's upload URL says besides; where any origin may, all do always."""
        return {} if self._any else self.upload_preflight()

    def upload_preflight(self) -> dict[str, str]:
        """What an OPTIONS answer about uploads says besides."""
        return _preflight(_UPLOAD_METHODS)

    def resumable_preflight(self) -> dict[str, str]:
        """What an OPTIONS answer about the IETF's resumable uploads says besides."""
        return _preflight(_RESUMABLE_METHODS)

    def unread(self) -> dict[str, str]:
        """What an answer to a request says that could not be read, so that nobody knows which page asked."""
        return {"Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": _EXPOSED} if self._any else {}

    def _allowed(self, request: web.Request) -> str | None:
        origin = request.headers.get("Origin")
        return origin if origin and origin.isascii() and (self._any or origin in self._origins) else None


def _preflight(methods: str) -> dict[str, str]:
    """What an answer says to a browser that asks whether a page may ask."""
    return {
        "Access-Control-Allow-Methods": methods,
        "Access-Control-Allow-Headers": _ALLOWED,
        "Access-Control-Max-Age": str(_MAX_AGE_SECONDS),
    }
