"""Which token a request of an upload collection brings, and what it may touch."""

from __future__ import annotations

import re
from typing import Final

from aiohttp import web

from domain.errors import NotFoundError, Subject, UnauthenticatedError
from gateway.gate import Gate
from gateway.parameters import Parameters, Text, read_query
from gateway.tokens import CollectionClaims, UploadClaims

#: What a token is made of (RFC 7515): nothing that would mean something in a header field or a URL.
_TOKEN: Final = re.compile(r"[A-Za-z0-9_.=-]+")
_SESSION: Final = re.compile(r"[0-9a-f]{32}")


class TokenParameters(Parameters):
    """A token."""

    token: Text


class Access:
    """Bearer tokens (RFC 6750) and tokens in the query."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    def token(self, request: web.Request, *, even_expired: bool) -> UploadClaims | CollectionClaims:
        """The token of a request.

        Raises:
            UnauthenticatedError: none, or one that does not hold.
            ForbiddenError: one for something else.
        """
        token = _bearer(request)
        if token is None:
            if "token" not in request.query:
                raise UnauthenticatedError("is required")
            token = read_query(request, TokenParameters).token
        token = token.strip()
        if not _TOKEN.fullmatch(token):
            raise UnauthenticatedError("is no token")
        return self._gate.tokens.read_any(token, UploadClaims, CollectionClaims, even_expired=even_expired)

    def authorised(
        self, request: web.Request, *, even_expired: bool = True
    ) -> tuple[UploadClaims | CollectionClaims, str]:
        """The token of a request for one upload, and that upload's id. Raises as `token`, and NotFoundError."""
        session_id = request.match_info["session"]
        claims = self.token(request, even_expired=even_expired)
        is_other = isinstance(claims, UploadClaims) and session_id != claims.session
        if is_other or not _SESSION.fullmatch(session_id):
            # Whether somebody else's upload exists is nobody else's business.
            raise NotFoundError("not the token's upload", subject=Subject.UPLOAD)
        return claims, session_id

    @staticmethod
    def location(request: web.Request, collection: str, session_id: str) -> str:
        """Relative, so that it is right behind any proxy; with the token if that came in the query.

        Nobody has looked at what stands in the query beside a Bearer token: it could be anything.
        """
        token = request.query.get("token", "").strip() if _bearer(request) is None else ""
        path = session_id if request.path.endswith("/") else f"{collection}/{session_id}"
        return path + (f"?token={token}" if token else "")


def _bearer(request: web.Request) -> str | None:
    """What is said to be a Bearer token; None: nothing is."""
    kind, _, token = request.headers.get("Authorization", "").partition(" ")
    return token if kind.lower() == "bearer" else None
