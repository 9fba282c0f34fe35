"""`POST /files`: small files that come whole and are put at their places in one step of the volume."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Final

from loguru import logger

from domain.errors import BackendUnavailableError, PenstockError, StorageFullError, TooManyError
from domain.spans import NoSpans
from gateway.client.tus_answers import state_headers
from gateway.client.upload_flow import finished_view
from gateway.express.answer import admitted, hand_back, head, written
from gateway.express.request import SimpleRequest
from gateway.gate import Gate
from gateway.middlewares import server_name
from gateway.observer import Answered
from gateway.problems import CONTENT_TYPE, Problem, problem_of
from gateway.protocol import tus
from gateway.protocol.tus import Accept, Dialect
from gateway.tokens import CollectionClaims, UploadClaims
from gateway.uploads.session import UploadSession

_ENDPOINT: Final = "/files"
#: Long tokens are left to who does not remember them.
_TARGET: Final = re.compile(r"/files(?:\?token=([A-Za-z0-9_.-]{1,4096}))?")
_BEARER: Final = re.compile(r"Bearer ([A-Za-z0-9_.-]{1,4096})")


@dataclass(frozen=True, slots=True)
class _Wish:
    """A request that was understood."""

    request: SimpleRequest
    session: UploadSession
    #: Where the upload can be asked for: this, and between them its id.
    location: tuple[str, str]


class ExpressUploads:
    """Takes uploads at once, or leaves them."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._same = written(
            {
                "Server": server_name(gate.version),
                "Tus-Resumable": tus.VERSION,
                "Cache-Control": "no-store",
                "Vary": "Origin",
            }
        )

    @classmethod
    def offered(cls, gate: Gate) -> ExpressUploads | None:
        """Offer to take them, unless every request has to pass a tracer."""
        return cls(gate) if isinstance(gate.spans, NoSpans) else None

    def begin(
        self, request: SimpleRequest, transport: asyncio.Transport
    ) -> Coroutine[None, None, bytes | None] | None:
        """Begin on a request; None if it needs more than this.

        Returns:
            What gives the answer; None if the request needs more than this after all, and nothing is at its place.
        """
        try:
            wish = self._wish(request)
        except PenstockError:
            return None  # said again, in the right words, on the ordinary way
        return None if wish is None else self._answer(wish, transport)

    def _wish(self, request: SimpleRequest) -> _Wish | None:
        """What is wanted; None if it is no upload of this kind.

        Raises:
            PenstockError: it would be refused.
        """
        target = _TARGET.fullmatch(request.target)
        bearer = _BEARER.fullmatch(request.fields.get("Authorization", ""))
        if target is None or request.fields.get("Tus-Resumable") != tus.VERSION:
            return None
        if (bearer is None) is (target[1] is None):
            return None
        token = target[1] or (bearer and bearer[1]) or ""
        claims = self._gate.tokens.read_any(token, UploadClaims, CollectionClaims)
        most = self._gate.settings.max_upload_bytes
        creation = tus.read_creation(request.fields, most)
        accept = tus.decide_first_body(request.fields, creation, most)
        is_whole = isinstance(accept, Accept) and tus.brings_all(request.fields, creation)
        if not isinstance(claims, CollectionClaims) or not is_whole:
            return None
        session = self._gate.uploads.beginner.unnamed(claims, creation)
        if session.unpack or session.announced_sha256:
            return None
        return _Wish(request, session, ("files/", f"?token={token}" if target[1] else ""))

    async def _answer(self, wish: _Wish, transport: asyncio.Transport) -> bytes | None:
        started = time.monotonic()
        try:
            with admitted(self._gate, transport):
                answer, problem = await self._placed(wish)
        except TooManyError:
            return None
        if answer is None:
            hand_back(self._gate, transport)
            return None
        status, labels = (201, ("", "", "")) if problem is None else (problem.status, problem.labels)
        self._gate.observer.answered(Answered("POST", _ENDPOINT, status, time.monotonic() - started, *labels))
        return answer

    async def _placed(self, wish: _Wish) -> tuple[bytes | None, Problem | None]:
        """Put a file at its place; the answer, and what is wrong. No answer: nothing is at its place."""
        observer, body = self._gate.observer, wish.request.body
        observer.transferring("upload", 1)
        try:
            done = await self._gate.uploads.place_whole(wish.session, body)
        except (BackendUnavailableError, StorageFullError) as error:
            # It may be at its place all the same; a second one would replace it, and be told of as well.
            logger.warning("POST {}: {}", _ENDPOINT, error)
            problem = problem_of(error)
            return self._told(wish, problem), problem
        except PenstockError:
            return None, None
        finally:
            observer.transferring("upload", -1)
        if done is None:
            return None, None
        observer.received(done.volume, len(body))
        before, behind = wish.location
        fields = state_headers(finished_view(done), Dialect.STANDARD)
        fields["Location"] = f"{before}{done.id}{behind}"
        return head(201, wish.request, fields, 0, self._same), None

    def _told(self, wish: _Wish, problem: Problem) -> bytes:
        """The answer of the ordinary way to what is wrong."""
        fields = {"Content-Type": f"{CONTENT_TYPE}; charset=utf-8", **problem.headers}
        body = problem.text().encode()
        return head(problem.status, wish.request, fields, len(body), self._same) + body
