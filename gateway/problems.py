"""The one table from errors to HTTP: status, problem type, title (RFC 9457), error code, extra members.

Types below `https://api.backend.ai/probs/` are those Backend.AI's manager and clients know; what they have no
word for is `urn:penstock:problem:<code>`. `error_code` is `<domain>_<operation>_<detail>`, the three that also
label the request metrics: all of them are words Backend.AI 26.3 can read, because its manager chooses by the domain
what it raises, and takes what it cannot read for a problem of a folder. Where the reference has none, none is told.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Any, Final

from aiohttp import web

from domain.errors import BusyError, ErrorCode, PenstockError, Subject
from gateway.validation import InvalidParametersError

_PEER: Final = "https://api.backend.ai/probs/storage"
_OURS: Final = "urn:penstock:problem"
CONTENT_TYPE: Final = "application/problem+json"
_RETRY_AFTER_SECONDS: Final = 1
_OF_TUS: Final = 460

#: errno of the file conflicts `FileAccess` knows, as Backend.AI tells them to its clients.
_ERRNO: Final[Mapping[str, int | None]] = {
    "exists": errno.EEXIST,
    "not-a-directory": errno.ENOTDIR,
    "is-a-directory": errno.EISDIR,
    "not-empty": errno.ENOTEMPTY,
    "not-a-file": errno.EINVAL,
    "into-itself": None,
}


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem document on its way out."""

    status: int
    type: str
    title: str
    error_code: str = ""
    members: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    #: Whether the code is told; it labels the metrics in any case.
    tells_code: bool = True

    def body(self) -> dict[str, Any]:
        """The document."""
        code = {"error_code": self.error_code} if self.error_code and self.tells_code else {}
        return {"type": self.type, "title": self.title, **code, **self.members}

    def text(self) -> str:
        """The document, as it is sent."""
        return json.dumps(self.body(), separators=(",", ":"))

    def response(self) -> web.Response:
        """The whole answer."""
        return web.Response(
            status=self.status,
            reason=phrase(self.status),
            text=self.text(),
            content_type=CONTENT_TYPE,
            headers=self.headers,
        )

    @property
    def labels(self) -> tuple[str, str, str]:
        """Domain, operation and detail for the metrics; empty where the code has none."""
        parts = self.error_code.split("_")
        return (parts[0], parts[1], parts[2]) if len(parts) == 3 else ("", "", "")


@dataclass(frozen=True, slots=True)
class _Row:
    status: int
    title: str
    error_code: str


_BY_CODE: Final[Mapping[ErrorCode, _Row]] = {
    ErrorCode.INVALID_REQUEST: _Row(400, "Invalid API parameters", "storage-proxy_request_invalid-parameters"),
    ErrorCode.INVALID_PATH: _Row(400, "Invalid Subpath", "vfolder_access_invalid-parameters"),
    ErrorCode.REUSED_KEY: _Row(422, "Idempotency-Key is already used", "storage-proxy_request_invalid-parameters"),
    ErrorCode.UNAUTHENTICATED: _Row(401, "Invalid API parameters", "storage-proxy_auth_unauthorized"),
    ErrorCode.FORBIDDEN: _Row(403, "Forbidden", "storage-proxy_auth_forbidden"),
    ErrorCode.NOT_FOUND: _Row(404, "Not Found", "storage-proxy_access_not-found"),
    ErrorCode.GONE: _Row(410, "Gone", "storage-proxy_read_not-found"),
    ErrorCode.CONFLICT: _Row(409, "Conflict", "storage-proxy_update_conflict"),
    ErrorCode.LOCKED: _Row(423, "Locked", "vfolder_access_conflict"),
    ErrorCode.QUOTA_EXCEEDED: _Row(413, "Quota Exceeded", "vfolder_check-limit_conflict"),
    ErrorCode.STORAGE_FULL: _Row(507, "Insufficient Storage", "vfolder_update_unavailable"),
    ErrorCode.CHECKSUM_MISMATCH: _Row(460, "Checksum Mismatch", "storage-proxy_update_invalid-data-format"),
    ErrorCode.TOO_LARGE: _Row(413, "Content Too Large", "vfolder_request_invalid-parameters"),
    ErrorCode.UNSUPPORTED: _Row(
        400, "Unsupported operation by the storage backend", "storage_request_not-implemented"
    ),
    ErrorCode.BUSY: _Row(503, "Busy", "storage-proxy_request_unavailable"),
    ErrorCode.TOO_MANY: _Row(429, "Too Many Requests", "storage-proxy_request_unavailable"),
    ErrorCode.DEADLINE_EXCEEDED: _Row(504, "No answer in time", "storage-proxy_request_task-timeout"),
    ErrorCode.BACKEND_UNAVAILABLE: _Row(503, "Storage unavailable", "storage_access_unavailable"),
    ErrorCode.BACKEND_FAULT: _Row(502, "Storage fault", "storage_access_internal-error"),
    ErrorCode.BUS_BROKEN: _Row(503, "Event bus unavailable", "storage-proxy_request_unavailable"),
    ErrorCode.BUS_CLOSED: _Row(503, "Stopping", "storage-proxy_request_unavailable"),
    ErrorCode.FENCED: _Row(409, "Another request has taken over", "storage-proxy_update_conflict"),
    ErrorCode.MALFORMED_EVENT: _Row(500, "Internal error", "storage-proxy_generic_internal-error"),
    ErrorCode.INTERNAL: _Row(500, "Internal error", "storage-proxy_generic_internal-error"),
}


@dataclass(frozen=True, slots=True)
class _PeerRow:
    status: int
    #: The problem's type, below Backend.AI's own.
    path: str
    title: str
    error_code: str


#: What its storage proxy has a class of its own for, and that tells a message.
_BY_SUBJECT: Final[Mapping[tuple[ErrorCode, Subject], _PeerRow]] = {
    (ErrorCode.NOT_FOUND, Subject.VOLUME): _PeerRow(
        400, "volume/invalid", "Invalid Volume", "storage_access_invalid-parameters"
    ),
    (ErrorCode.NOT_FOUND, Subject.VFOLDER): _PeerRow(
        404, "vfolder/not-found", "VFolder Not Found", "vfolder_read_not-found"
    ),
    (ErrorCode.GONE, Subject.VFOLDER): _PeerRow(410, "vfolder/not-found", "VFolder Not Found", "vfolder_read_gone"),
    (ErrorCode.CONFLICT, Subject.QUOTA_SCOPE): _PeerRow(
        409, "quota/scope/already-exists", "Quota Scope Already Exists", "quota-scope_create_already-exists"
    ),
    (ErrorCode.INVALID_REQUEST, Subject.QUOTA_SCOPE): _PeerRow(
        400, "quota/config/invalid", "Invalid Quota Config", "quota-scope_update_invalid-parameters"
    ),
}


def phrase(status: int) -> str:
    """The reason phrase of a status."""
    return "Checksum Mismatch" if status == _OF_TUS else HTTPStatus(status).phrase


def problem_of(error: PenstockError) -> Problem:
    """Find the words for an error."""
    if isinstance(error, InvalidParametersError):
        return Problem(400, f"{_PEER}/invalid-api-params", "Invalid API parameters", members={"data": error.data})
    row = _BY_SUBJECT.get((error.code, error.subject))
    if row is not None:
        problem = _peer(row.status, row.path, row.title, row.error_code, error)
        return replace(problem, members={**problem.members, **_status(error)})
    if error.code is ErrorCode.NOT_FOUND and error.subject in (Subject.QUOTA_SCOPE, Subject.UPLOAD):
        return _missing(error.subject)
    if error.code in (ErrorCode.NOT_FOUND, ErrorCode.CONFLICT) and error.subject is Subject.FILE:
        return _file_problem(error)
    return _by_code(error)


def _by_code(error: PenstockError) -> Problem:
    row = _BY_CODE[error.code]
    match error.code:
        case ErrorCode.INVALID_PATH:
            problem = _peer(row.status, "subpath/invalid", row.title, row.error_code, error)
            return replace(problem, members={**problem.members, "data": error.message, **_paths(error)})
        case ErrorCode.UNAUTHENTICATED:
            return _token_problem(error)
        case ErrorCode.FORBIDDEN if "token" in error.facts:
            return _wrong_token(error)
        case ErrorCode.INVALID_REQUEST:
            return _peer(row.status, "invalid-api-params", row.title, row.error_code, error)
        case ErrorCode.UNSUPPORTED:
            problem = _peer(row.status, "unsupported-operation", row.title, row.error_code, error)
            return replace(problem, tells_code=False)
        case ErrorCode.CONFLICT if error.subject is Subject.VFOLDER:
            return replace(_own(error), error_code="vfolder_update_conflict")
        case _:
            return _own(error)


def _missing(subject: Subject) -> Problem:
    """What is not there, where Backend.AI tells no more than that."""
    if subject is Subject.UPLOAD:
        kind, code = f"{_PEER}/no-such-upload-session", "storage-proxy_read_not-found"
        return Problem(404, kind, "No such upload session", code, tells_code=False)
    return Problem(404, f"{_PEER}/quota/scope/not-found", "Quota Scope Not Found", "quota-scope_read_not-found")


def _peer(status: int, path: str, title: str, code: str, error: PenstockError) -> Problem:
    members: dict[str, Any] = {"msg": error.message}
    if "field" in error.facts:
        members["data"] = {str(error.facts["field"]): error.message}
    return Problem(status, f"{_PEER}/{path}", title, code, members)


def _own(error: PenstockError) -> Problem:
    row = _BY_CODE[error.code]
    headers: dict[str, str] = {}
    if row.status in (423, 429, 503):
        after = error.retry_after_seconds if isinstance(error, BusyError) else _RETRY_AFTER_SECONDS
        headers["Retry-After"] = str(max(1, round(after)))
    numbers = {key: value for key, value in error.facts.items() if isinstance(value, int)}
    return Problem(
        row.status,
        f"{_OURS}:{error.code}",
        row.title,
        row.error_code,
        {"msg": error.message, "retry": error.retry, **numbers, **_status(error)},
        headers,
    )


def _status(error: PenstockError) -> dict[str, Any]:
    """What is known of a folder that is not at its place."""
    return {name: error.facts[name] for name in ("status", "reason", "task") if error.facts.get(name)}


def _token_problem(error: PenstockError) -> Problem:
    row = _BY_CODE[error.code]
    return Problem(
        row.status,
        f"{_PEER}/invalid-api-params",
        row.title,
        row.error_code,
        {"data": {"token": error.message}},
        {"WWW-Authenticate": "Bearer"},
        tells_code=False,
    )


def _wrong_token(error: PenstockError) -> Problem:
    """A token for something else, in the words for one that does not hold."""
    row, data = _BY_CODE[error.code], {"token": error.facts["token"]}
    kind, title = f"{_PEER}/invalid-api-params", "Invalid API parameters"
    return Problem(row.status, kind, title, row.error_code, {"data": data}, tells_code=False)


def _file_problem(error: PenstockError) -> Problem:
    """As Backend.AI tells failed file operations: the system's own words, errno and the paths."""
    reason = str(error.facts.get("reason", ""))
    number = errno.ENOENT if error.code is ErrorCode.NOT_FOUND else _ERRNO.get(reason)
    message = os.strerror(number) if number is not None else error.message
    detail = "not-found" if error.code is ErrorCode.NOT_FOUND else "conflict"
    return Problem(
        400,
        f"{_OURS}:file-{reason or 'missing'}",
        "File operation failed",
        f"vfolder_access_{detail}",
        {"msg": message, "errno": number, "paths": [], **_paths(error)},
        tells_code=False,
    )


def _paths(error: PenstockError) -> dict[str, Any]:
    """Which of a request's paths it is about, if that is known."""
    path = str(error.facts.get("path", ""))
    return {"paths": [path]} if path else {}


def os_words(error: PenstockError) -> str:
    """A failed item of a bulk operation, in the words Backend.AI's clients look for."""
    number = errno.ENOENT if error.code is ErrorCode.NOT_FOUND and error.subject is Subject.FILE else None
    if error.code is ErrorCode.CONFLICT:
        number = _ERRNO.get(str(error.facts.get("reason", "")))
    if number is None:
        return error.message
    return repr(OSError(number, os.strerror(number)))


def forbidden(detail: str) -> Problem:
    """The manager port's answer to a missing or wrong secret."""
    title = f"Forbidden ({detail})"
    return Problem(403, f"{_PEER}/forbidden", title, "storage-proxy_auth_forbidden", tells_code=False)


def malformed(detail: str) -> Problem:
    """The manager port's answer to a body where none belongs."""
    title, code = f"Malformed request ({detail})", "storage-proxy_request_invalid-parameters"
    return Problem(400, f"{_PEER}/malformed-request", title, code, tells_code=False)


def file_not_found() -> Problem:
    """The client port's answer to a file that is not there, or may not be reached."""
    return Problem(404, f"{_PEER}/file-not-found", "File not found", "vfolder_read_not-found", tells_code=False)


def offset_mismatch(message: str, facts: Mapping[str, object]) -> Problem:
    """A PATCH at another offset than the upload's."""
    return Problem(
        409,
        f"{_PEER}/upload-offset-mismatch",
        "Upload Offset Mismatch",
        "storage-proxy_update_conflict",
        {"msg": message, **facts},
    )


def own_problem(status: int, name: str, title: str, message: str) -> Problem:
    """A problem of a protocol, for which there is no domain error."""
    return Problem(status, f"{_OURS}:{name}", title, "storage-proxy_request_invalid-parameters", {"msg": message})
