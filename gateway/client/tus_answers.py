"""Answers both dialects of tus share."""

from __future__ import annotations

from aiohttp import web

from gateway.problems import Problem, offset_mismatch, own_problem
from gateway.protocol import tus
from gateway.protocol.tus import Dialect, Reason, Refuse, UploadView
from gateway.protocol.validators import http_date
from gateway.transfer.receive import expect_later


async def expect(request: web.Request) -> None:
    """Expect handler of all tus resources: a body is asked for when it is wanted.

    Raises:
        web.HTTPExpectationFailed: something else than 100-continue is expected.
    """
    if not request.headers.get("Expect", "").isascii():
        raise web.HTTPExpectationFailed(text="Unknown Expect")
    await expect_later(request)


async def sign(request: web.Request, response: web.StreamResponse) -> None:
    """Signal handler: every answer of a tus resource names the version, errors included.

    One that is sent before the request's body was read ends the connection. The library would go on reading the
    body, so a sender that does not send it after this answer would have its next request taken for it.
    """
    if request.path == "/upload" or request.path.startswith("/files"):
        response.headers.setdefault("Tus-Resumable", tus.VERSION)
        response.headers.setdefault("Cache-Control", "no-store")
    is_whole = request.content.is_eof() and request.content.exception() is None
    if not is_whole or (response.status == 413 and tus.brings_body(request.headers)):
        response.force_close()
        response.headers["Connection"] = "close"


def state_headers(upload: UploadView, dialect: Dialect) -> dict[str, str]:
    """How far an upload is."""
    headers: dict[str, str] = {}
    if upload.offset is not None:
        headers["Upload-Offset"] = str(upload.offset)
    if upload.length is not None:
        headers["Upload-Length"] = str(upload.length)
    elif not upload.is_final:
        headers["Upload-Defer-Length"] = "1"
    if dialect is Dialect.STANDARD:
        if upload.concat:
            headers["Upload-Concat"] = upload.concat
        if upload.metadata:
            headers["Upload-Metadata"] = upload.metadata
        if upload.expires is not None:
            headers["Upload-Expires"] = http_date(upload.expires)
    return headers


def refusal(refuse: Refuse) -> web.Response:
    """Say why a request was refused."""
    response = _problem(refuse).response()
    if refuse.reason is Reason.VERSION:
        response.headers["Tus-Version"] = tus.VERSION
    if refuse.reason is Reason.OFFSET_MISMATCH:
        response.headers["Upload-Offset"] = str(refuse.facts["expected-offset"])
    return response


def _problem(refuse: Refuse) -> Problem:
    match refuse.reason:
        case Reason.VERSION:
            return own_problem(412, "tus-version", "Precondition Failed", refuse.message)
        case Reason.CODING:
            return own_problem(501, "transfer-coding", "Not Implemented", refuse.message)
        case Reason.CONTENT_TYPE:
            return own_problem(415, "content-type", "Unsupported Media Type", refuse.message)
        case Reason.FINAL:
            return own_problem(403, "final-upload", "Forbidden", refuse.message)
        case Reason.OFFSET_MISMATCH:
            return offset_mismatch(refuse.message, refuse.facts)
