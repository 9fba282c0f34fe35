"""Small uploads that come whole, and are put at their places in one step of the volume.

`POST /files` with all bytes; or a PATCH with all bytes of an upload that was begun, there or by a token.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Final

from loguru import logger

from domain.errors import BackendUnavailableError, PenstockError, StorageFullError, TooManyError
from domain.spans import NoSpans
from gateway.client.tus_answers import state_headers
from gateway.client.upload_flow import UploadFlow, finished_view
from gateway.cors import Cors
from gateway.express.answer import REQUEST_ID, admitted, hand_back, head, identified, written
from gateway.express.request import SimpleRequest
from gateway.gate import Gate
from gateway.middlewares import server_name
from gateway.observer import Answered
from gateway.problems import CONTENT_TYPE, Problem, problem_of
from gateway.protocol import tus
from gateway.protocol.tus import Accept, Dialect
from gateway.tokens import CollectionClaims, UploadClaims
from gateway.uploads.session import UploadSession

#: Long tokens are left to who does not remember them.
_QUERY: Final = r"token=([A-Za-z0-9_.-]{1,4096})"
_COLLECTION: Final = re.compile(rf"/files(?:\?{_QUERY})?")
_UPLOAD: Final = re.compile(rf"/files/([0-9a-f]{{32}})(?:\?{_QUERY})?")
_NAMED: Final = re.compile(rf"/upload\?{_QUERY}")
_BEARER: Final = re.compile(r"Bearer ([A-Za-z0-9_.-]{1,4096})")

#: Bodies held in memory at most, all together, in bytes; others are stored as they come.
_HELD_BYTES: Final = 64 << 20

Claims = UploadClaims | CollectionClaims


@dataclass(frozen=True, slots=True)
class _Append:
    """Bytes for an upload that was begun."""

    claims: Claims
    session_id: str
    endpoint: str
    dialect: Dialect


@dataclass(frozen=True, slots=True)
class _Wish:
    """A request that was understood."""

    request: SimpleRequest
    endpoint: str
    dialect: Dialect
    #: Puts the file at its place; None: nothing is there.
    place: Callable[[], Awaitable[UploadSession | None]]
    #: Where an upload that is made by this can be asked for: this, and between them its id.
    location: tuple[str, str] | None = None

    @property
    def status(self) -> int:
        """That of an answer to what was done."""
        return 204 if self.location is None else 201


class ExpressUploads:
    """Takes uploads at once, or leaves them."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._flow = UploadFlow(gate)
        self._held_bytes = 0
        always = {
            "Server": server_name(gate.version),
            "Tus-Resumable": tus.VERSION,
            "Cache-Control": "no-store",
        }
        #: What all answers say.
        self._same = {
            Dialect.STANDARD: written({**always, "Vary": "Origin"}),
            Dialect.BACKEND_AI: written({**always, **Cors(gate.settings.allow_origins).peer_upload}),
        }

    @classmethod
    def offered(cls, gate: Gate) -> ExpressUploads | None:
        """Offer to take them, unless every request has to pass a tracer."""
        return cls(gate) if isinstance(gate.spans, NoSpans) else None

    def hold(self, count: int) -> bool:
        """Take so many bytes of memory for a body; False: there are too many others."""
        if self._held_bytes + count > _HELD_BYTES:
            return False
        self._held_bytes += count
        return True

    def release(self, count: int) -> None:
        """Give back what was taken."""
        self._held_bytes -= count

    @staticmethod
    def may_take(request: SimpleRequest) -> bool:
        """Whether it is worth waiting for the rest of a request that comes in pieces."""
        if request.method == "POST":
            return _COLLECTION.fullmatch(request.target) is not None
        is_known = (pattern.fullmatch(request.target) is not None for pattern in (_NAMED, _UPLOAD))
        return tus.brings_size(request.fields) is not None and any(is_known)

    def begin(
        self, request: SimpleRequest, transport: asyncio.Transport
    ) -> Coroutine[None, None, bytes | None] | None:
        """Begin on a request; None if it needs more than this.

        Returns:
            What gives the answer; None if the request needs more than this after all, and nothing is at its place.
        """
        try:
            wish = self._creation(request) if request.method == "POST" else self._append(request)
        except PenstockError:
            return None  # said again, in the right words, on the ordinary way
        return None if wish is None else self._answer(wish, transport)

    def _creation(self, request: SimpleRequest) -> _Wish | None:
        """A new upload; None if it is none of this kind.

        Raises:
            PenstockError: it would be refused.
        """
        target = _COLLECTION.fullmatch(request.target)
        token = _token(request, target[1]) if target is not None else None
        if target is None or token is None or tus.check_version(request.fields, Dialect.STANDARD) is not None:
            return None
        claims = self._claims(token)
        most = self._gate.settings.max_upload_bytes
        creation = tus.read_creation(request.fields, most)
        accept = tus.decide_first_body(request.fields, creation, most)
        is_whole = isinstance(accept, Accept) and tus.brings_all(request.fields, creation)
        if not isinstance(claims, CollectionClaims) or not is_whole:
            return None
        session = self._gate.uploads.beginner.unnamed(claims, creation)
        if session.unpack or session.announced_sha256:
            return None
        location = ("files/", f"?token={token}" if target[1] else "")

        def place() -> Awaitable[UploadSession | None]:
            return self._gate.uploads.place_whole(session, request.body)

        return _Wish(request, "/files", Dialect.STANDARD, place, location)

    def _append(self, request: SimpleRequest) -> _Wish | None:
        """All bytes of an upload that was begun. Raises as `_creation`, and returns None likewise."""
        append = self._read_append(request)
        if append is None:
            return None

        def place() -> Awaitable[UploadSession | None]:
            return self._placed(append.claims, append.session_id, request.body)

        return _Wish(request, append.endpoint, append.dialect, place)

    def _read_append(self, request: SimpleRequest) -> _Append | None:
        """Which upload a PATCH is for. Raises as `_creation`, and returns None likewise."""
        if tus.brings_size(request.fields) is None:
            return None
        if (target := _UPLOAD.fullmatch(request.target)) is not None:
            token, endpoint, dialect = _token(request, target[2]), "/files/{session}", Dialect.STANDARD
        elif (target := _NAMED.fullmatch(request.target)) is not None:
            token, endpoint, dialect = target[1], "/upload", Dialect.BACKEND_AI
        else:
            return None
        if token is None or tus.check_head(request.fields, dialect) is not None:
            return None
        claims = self._claims(token)
        session_id = claims.session if isinstance(claims, UploadClaims) else target[1]
        is_other = dialect is Dialect.STANDARD and session_id != target[1]
        if is_other or (dialect is Dialect.BACKEND_AI and not isinstance(claims, UploadClaims)):
            return None
        return _Append(claims, session_id, endpoint, dialect)

    async def keep(self, request: SimpleRequest) -> None:
        """Store what a request has brought though nobody waits for its answer, as the ordinary way does."""
        try:
            append = self._read_append(request) if request.method == "PATCH" else None
            if append is not None:
                where = append.claims, append.session_id, append.dialect
                await self._flow.keep(request.fields, *where, request.body)
        except PenstockError as error:
            logger.debug("{} whose client is gone: {}", request.method, error)

    def _claims(self, token: str) -> Claims:
        return self._gate.tokens.read_any(token, UploadClaims, CollectionClaims)

    async def _placed(self, claims: Claims, session_id: str, body: bytes) -> UploadSession | None:
        uploads = self._gate.uploads
        expected = await uploads.expected(claims, session_id, len(body))
        return None if expected is None else await uploads.at_once.place(expected, body)

    async def _answer(self, wish: _Wish, transport: asyncio.Transport) -> bytes | None:
        count = len(wish.request.body)
        if not self.hold(count):
            return None
        try:
            return await self._admitted(wish, transport)
        finally:
            self.release(count)

    async def _admitted(self, wish: _Wish, transport: asyncio.Transport) -> bytes | None:
        started = time.monotonic()
        try:
            with admitted(self._gate, transport):
                answer, problem = await self._done(wish)
        except TooManyError:
            return None
        if answer is None:
            hand_back(self._gate, transport)
            return None
        status, labels = (wish.status, ("", "", "")) if problem is None else (problem.status, problem.labels)
        seconds = time.monotonic() - started
        self._gate.observer.answered(Answered(wish.request.method, wish.endpoint, status, seconds, *labels))
        return answer

    async def _done(self, wish: _Wish) -> tuple[bytes | None, Problem | None]:
        """Put a file at its place; the answer, and what is wrong. No answer: nothing is at its place."""
        observer = self._gate.observer
        observer.transferring("upload", 1)
        try:
            done = await wish.place()
        except (BackendUnavailableError, StorageFullError) as error:
            # It may be at its place all the same; a second one would replace it, and be told of as well.
            problem = problem_of(error)
            return self._failed(wish, problem, error), problem
        except PenstockError:
            return None, None
        finally:
            observer.transferring("upload", -1)
        if done is None:
            return None, None
        observer.received(done.volume, len(wish.request.body))
        fields = state_headers(finished_view(done), wish.dialect)
        if wish.location is not None:
            before, behind = wish.location
            fields["Location"] = f"{before}{done.id}{behind}"
        return head(wish.status, wish.request, fields, 0, self._same[wish.dialect]), None

    def _failed(self, wish: _Wish, problem: Problem, error: PenstockError) -> bytes:
        """Log what is wrong, and tell it; as the ordinary way does."""
        request, operation = identified(wish.request), f"{wish.request.method} {wish.endpoint}"
        with logger.contextualize(request_id=request.fields[REQUEST_ID], operation=operation):
            logger.warning("{}: {}", operation, error)
        fields = {"Content-Type": f"{CONTENT_TYPE}; charset=utf-8", **problem.headers}
        body = problem.text().encode()
        return head(problem.status, request, fields, len(body), self._same[wish.dialect]) + body


def _token(request: SimpleRequest, in_query: str | None) -> str | None:
    """The token of a request; None if it has none, or two."""
    given = request.fields.get("Authorization")
    if given is None:
        return in_query
    bearer = _BEARER.fullmatch(given)
    return bearer[1] if bearer is not None and in_query is None else None
