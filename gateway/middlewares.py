"""What happens around every request: an id, a trace, log labels, metrics, and errors turned into answers."""

from __future__ import annotations

import hmac
import random
import re
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Middleware
from loguru import logger
from pydantic import SecretStr

from domain.envelope import Origin, Trace
from domain.errors import InternalError, InvalidRequestError, PenstockError
from domain.spans import Spans
from gateway.commands import Asker
from gateway.observer import Answered, GatewayObserver
from gateway.problems import Problem, forbidden, problem_of
from gateway.protocol.host import is_host
from gateway.unreadable import unreadable

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

#: Where a request's id is kept.
REQUEST_ID: Final = web.RequestKey("request_id", str)
_ORIGIN: Final = web.RequestKey("origin", Origin)
#: Whether an answer has begun to be sent.
_BEGUN: Final = web.RequestKey("begun", bool)
#: Header by which the manager proves itself.
SECRET_HEADER: Final = "X-BackendAI-Storage-Auth-Token"  # noqa: S105  a header's name
_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")
#: W3C Trace Context: version, trace id, parent id, flags.
_TRACEPARENT: Final = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_TRACESTATE_BYTES: Final = 512
_IDEMPOTENCY_KEY: Final = re.compile(r"[\x21-\x7e]{1,255}")
#: Endpoint label of paths no route has; the paths themselves would be labels without end.
_NO_ROUTE: Final = ""
#: Status counted when the peer left before it was answered; nobody is sent it.
_PEER_GONE: Final = 499


def origin_of(request: web.Request) -> Origin:
    """Who asked, and the trace it belongs to, for commands that follow from a request."""
    return request[_ORIGIN]


def asker_of(request: web.Request) -> Asker:
    """Who asks for a command, and the key by which a repetition is recognised.

    Raises:
        InvalidRequestError: the key is none.
    """
    given = request.headers.get("Idempotency-Key", "")
    key = given[1:-1] if len(given) > 1 and given[0] == given[-1] == '"' else given
    if given and not _IDEMPOTENCY_KEY.fullmatch(key):
        raise InvalidRequestError("must be 1 to 255 visible characters", field="Idempotency-Key")
    return Asker(origin_of(request), key)


def around(actor: str, observer: GatewayObserver, spans: Spans) -> Middleware:
    """The outermost middleware of a port."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        started = time.monotonic()
        request[REQUEST_ID] = request_id_of(request.headers)
        endpoint = _endpoint(request)
        operation = f"{request.method} {endpoint}"
        told = {"http.request.method": request.method, "http.route": endpoint}
        with spans.serving(operation, _trace(request), told) as trace:
            request[_ORIGIN] = Origin(actor=actor, trace=trace)
            with logger.contextualize(
                request_id=request[REQUEST_ID], traceparent=trace.parent, operation=operation
            ):
                answer, problem = await _answer(request, handler)
        labels = problem.labels if problem else ("", "", "")
        seconds = time.monotonic() - started
        observer.answered(Answered(request.method, endpoint, answer.status, seconds, *labels))
        return answer

    return middleware


def server_name(version: str) -> str:
    """Our name, as answers tell it (RFC 9110 section 10.2.4)."""
    return f"Penstock/{version}"


def signed(version: str) -> Callable[[web.Request, web.StreamResponse], Awaitable[None]]:
    """Signal handler that puts our name and the request's id on every answer, streamed ones included."""
    server = server_name(version)

    async def sign(request: web.Request, response: web.StreamResponse) -> None:
        request[_BEGUN] = True
        response.headers["Server"] = server
        if REQUEST_ID in request:
            response.headers["X-Request-ID"] = request[REQUEST_ID]

    return sign


async def _answer(request: web.Request, handler: Handler) -> tuple[web.StreamResponse, Problem | None]:
    if not is_host(request.headers.get("Host", "")):
        return unreadable("Invalid Host"), None
    try:
        return await handler(request), None
    except web.HTTPException as answer:
        # aiohttp's own words for a missing route or method; as an exception it could not be looked at here.
        allow = {"Allow": answer.headers["Allow"]} if "Allow" in answer.headers else {}
        return web.Response(status=answer.status, text=answer.text, headers=allow), None
    except PenstockError as error:
        problem = problem_of(error)
        if problem.status >= 500:
            logger.warning("{} {}: {}", request.method, request.path, error)
    except ConnectionError as error:
        return _cut(request, error), None
    except Exception:  # noqa: BLE001  a defect is answered like one, and never with its details
        logger.exception("{} {} failed by a defect", request.method, request.path)
        problem = problem_of(InternalError("an internal error; the log has the details"))
    if _BEGUN in request and request.transport is not None:
        request.transport.abort()  # a second answer would be taken for more of the first one's body
    return problem.response(), problem


def _cut(request: web.Request, error: ConnectionError) -> web.Response:
    """End a connection whose peer is gone or stands still. The answer reaches nobody; it is what gets counted."""
    logger.debug("{} {}: {}", request.method, request.path, error)
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=_PEER_GONE)


def require_secret(secrets: Sequence[SecretStr], open_paths: frozenset[str]) -> Middleware:
    """Refuse whoever knows none of the manager's secrets, before anything else is looked at."""
    expected = [secret.get_secret_value().encode() for secret in secrets]

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path in open_paths:
            return await handler(request)
        given = request.headers.get(SECRET_HEADER)
        if not given:
            return forbidden("missing auth token").response()
        # All of them are compared, so that the time taken does not tell which one it was.
        if not sum(hmac.compare_digest(given.encode("utf-8", "surrogateescape"), one) for one in expected):
            return forbidden("invalid auth token").response()
        return await handler(request)

    return middleware


def request_id_of(headers: Mapping[str, str]) -> str:
    """The id a request brings, or one for it."""
    given = headers.get("X-Request-ID")
    if given and _REQUEST_ID.fullmatch(given):
        return given
    return f"{random.getrandbits(128):032x}"  # it opens nothing, so it may be guessed


def _trace(request: web.Request) -> Trace:
    parent = request.headers.get("traceparent", "")
    if not _TRACEPARENT.fullmatch(parent):
        return Trace()
    return Trace(parent, request.headers.get("tracestate", "")[:_TRACESTATE_BYTES])


def _endpoint(request: web.Request) -> str:
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else _NO_ROUTE
