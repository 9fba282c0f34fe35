"""Answers about the IETF's resumable uploads: how far one is, and why a request is refused.

`Upload-Complete: ?1` stands in the answer of what was uploaded to, good or bad, once all was sent: whoever reads it
need send no more. Refusals of everything else say `?0`, where the client may go on.
"""

from __future__ import annotations

from typing import Any, Final

from aiohttp import web
from aiohttp.typedefs import Handler

from domain.errors import ChecksumMismatchError, FencedError, LockedError, NotFoundError, PenstockError
from gateway.client.clear import clear
from gateway.gate import Gate
from gateway.problems import Problem, problem_of
from gateway.protocol import resumable
from gateway.protocol.digest import digest_field, wishes
from gateway.protocol.resumable import (
    CompletedUploadError,
    InconsistentLengthError,
    MismatchingOffsetError,
    OtherContentTypeError,
    boolean,
)
from gateway.protocol.resumable_digests import (
    CONTENT,
    WHOLE,
    ContentDigest,
    ImpossibleDigestError,
    byte_sequence,
)
from gateway.uploads.open_upload import OpenUpload
from gateway.uploads.session import UploadState

_IANA: Final = "https://iana.org/assignments/http-problem-types#"
_CODE: Final = "storage-proxy_request_invalid-parameters"
#: Refusals after which a client may go on with its upload, once it has changed something, or waited.
_GOES_ON: Final = (400, 413, 415, 423, 429)


class FinalError(Exception):
    """All of an upload was sent, and it cannot become a file; `why` tells the reason."""

    def __init__(self, why: PenstockError) -> None:
        super().__init__(str(why))
        self.why = why


class DifferingBodyError(ChecksumMismatchError):
    """A body is another one than was announced; none of it counts."""

    def __init__(self, digest: ContentDigest, offset: int) -> None:
        super().__init__(f"the body's {digest.algorithm} is not the one announced", offset=offset)
        self.digest = digest


class Answers:
    """Makes answers."""

    def __init__(self, gate: Gate) -> None:
        self._clock = gate.bus.clock
        self._max_bytes = gate.settings.max_upload_bytes

    async def guarded(self, request: web.Request, answer: Handler, *, sends: bool) -> web.StreamResponse:
        """Answer a request, if it is clear; who is refused is told what he has to know to go on, or not to.

        Args:
            sends: the request has to do with bytes of an upload, and is not only asking about them.
        """
        try:
            return await clear(answer)(request)
        except FinalError as error:
            return self._refused(error.why, complete=True)
        except PenstockError as error:
            return self._refused(error, complete=False if sends else None)

    def limits(self, expires: float | None = None) -> str:
        """Value of Upload-Limit; `expires` is when the upload may be dropped (Unix time)."""
        return resumable.limits(self._max_bytes, None if expires is None else expires - self._clock.now())

    def state(self, request: web.Request, opened: OpenUpload) -> dict[str, str]:
        """How far an upload is."""
        session, complete = opened.session, is_complete(opened)
        is_kept = session.state is UploadState.COMMITTED
        headers = {
            "Upload-Complete": boolean(complete),
            "Upload-Offset": str(session.length if is_kept else opened.offset),
            "Upload-Limit": self.limits(None if is_kept else session.expires),
            "Cache-Control": "no-store",
        }
        if session.length is not None:
            headers["Upload-Length"] = str(session.length)
        if complete and session.sha256 and wishes(request.headers).whole:
            headers[WHOLE] = digest_field(bytes.fromhex(session.sha256))
        return headers

    def _refused(self, error: PenstockError, *, complete: bool | None) -> web.Response:
        """A refusal. What is no other one here than anywhere else is raised again."""
        problem = _problem(error)
        headers = self._besides(error, problem.status, complete=complete)
        if problem.status >= 500 or not headers:
            raise error
        response = problem.response()
        response.headers.update(headers)
        return response

    def _besides(self, error: PenstockError, status: int, *, complete: bool | None) -> dict[str, str]:
        """What a refusal says of the upload."""
        is_elsewhere = isinstance(error, MismatchingOffsetError)
        headers: dict[str, str] = {}
        if complete or (complete is not None and (status in _GOES_ON or is_elsewhere)):
            headers["Upload-Complete"] = boolean(complete)
        if isinstance(offset := error.facts.get("offset"), int):
            headers["Upload-Offset"] = str(offset)
        if isinstance(error, MismatchingOffsetError) and error.location:
            headers["Location"] = error.location
        if is_elsewhere or status == 413:
            headers["Upload-Limit"] = self.limits()
        if status == 415:
            headers["Accept-Patch"] = resumable.CONTENT_TYPE
        return headers


def is_complete(opened: OpenUpload) -> bool:
    """Whether all of an upload was sent, and its client has said that this is all."""
    return opened.session.state is UploadState.COMMITTED or (opened.session.ended and opened.is_complete)


def is_final(error: PenstockError) -> bool:
    """Whether neither sending more nor asking again soon helps an upload that did not become a file."""
    is_passing = isinstance(error, LockedError | FencedError | NotFoundError)
    return problem_of(error).status < 500 and not is_passing


def _problem(error: PenstockError) -> Problem:
    match error:
        case MismatchingOffsetError():
            numbers = {"expected-offset": error.expected, "provided-offset": error.given}
            return _iana(409, "mismatching-upload-offset", error.message, numbers)
        case InconsistentLengthError():
            return _iana(400, "inconsistent-upload-length", error.message)
        case CompletedUploadError():
            return _iana(400, "completed-upload", error.message)
        case OtherContentTypeError():
            return Problem(415, "about:blank", error.message, _CODE)
        case ImpossibleDigestError():
            told = {"algorithm": error.facts["algorithm"], "header": error.facts["field"], "reason": error.message}
            return _iana(400, "digest-invalid-values", "Invalid digest values", {"invalid-digests": [told]})
        case ChecksumMismatchError():
            members = {"msg": error.message, "mismatching-digests": _differing(error)}
            return _iana(400, "digest-mismatching-values", "Mismatching digest values", members)
        case _:
            return problem_of(error)


def _differing(error: ChecksumMismatchError) -> list[dict[str, str]]:
    """What was announced and is not so (draft-ietf-httpapi-digest-fields-problem-types)."""
    if isinstance(error, DifferingBodyError):
        header, announced, differ = CONTENT, error.digest.announced, error.digest.differing()
    else:
        header, differ = WHOLE, [str(error.facts["algorithm"])]
        announced = {differ[0]: bytes.fromhex(str(error.facts["announced"]))}
    return [
        {"algorithm": key, "provided-digest": byte_sequence(announced[key]), "header": header} for key in differ
    ]


def _iana(status: int, name: str, title: str, members: dict[str, Any] | None = None) -> Problem:
    return Problem(status, f"{_IANA}{name}", title, _CODE, members or {})
