"""The tus resumable upload protocol 1.0.0: a request's head and the upload's state in, a decision out.

Two dialects share it. The collection `/files` speaks tus as written. The token URL `/upload?token=` speaks it
as Backend.AI's clients know it: it looks neither at `Tus-Resumable` nor at the content type, and the upload
was created beforehand by the manager.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from domain.errors import InvalidRequestError, TooLargeError

VERSION: Final = "1.0.0"
#: Extensions of the collection, as `Tus-Extension` lists them.
EXTENSIONS: Final = ("creation", "creation-with-upload", "termination", "expiration")
CONTENT_TYPE: Final = "application/offset+octet-stream"
#: Longest Upload-Metadata taken, in bytes.
_METADATA_BYTES: Final = 8192
_NUMBER: Final = re.compile(r"[0-9]{1,19}")


class Dialect(StrEnum):
    """Whose tus is spoken."""

    STANDARD = "standard"
    BACKEND_AI = "backend.ai"


@dataclass(frozen=True, slots=True)
class UploadView:
    """What the protocol needs to know of an upload."""

    offset: int
    length: int
    metadata: str = ""
    #: Unix time after which it may be dropped; None: it is finished.
    expires: float | None = None


@dataclass(frozen=True, slots=True)
class Accept:
    """Take the body: at most `limit` bytes, to be stored from `offset` on."""

    offset: int
    limit: int


class Reason(StrEnum):
    """Why a request is refused."""

    VERSION = "version"
    CONTENT_TYPE = "content-type"
    OFFSET_MISMATCH = "offset-mismatch"


@dataclass(frozen=True, slots=True)
class Refuse:
    """Take nothing."""

    reason: Reason
    message: str
    facts: Mapping[str, object] = field(default_factory=dict)


def check_version(request: Mapping[str, str], dialect: Dialect) -> Refuse | None:
    """Refuse a version of tus we do not speak (section "Tus-Resumable")."""
    given = request.get("Tus-Resumable")
    if dialect is Dialect.STANDARD and given != VERSION:
        return Refuse(Reason.VERSION, f"this server speaks tus {VERSION}, not {given or 'an unnamed version'}")
    return None


def decide_patch(request: Mapping[str, str], upload: UploadView, dialect: Dialect) -> Accept | Refuse:
    """Decide on a PATCH.

    Raises:
        InvalidRequestError: Upload-Offset or Content-Length is missing or no number.
        TooLargeError: the body would pass the upload's length.
    """
    refused = check_version(request, dialect) or _check_content_type(request, dialect)
    if refused is not None:
        return refused
    offset = _offset(request)
    if offset != upload.offset:
        return Refuse(
            Reason.OFFSET_MISMATCH,
            f"Upload offset mismatch: expected {upload.offset}, got {offset}",
            {"expected-offset": upload.offset, "provided-offset": offset},
        )
    return _accept(request, upload)


def decide_create_with_upload(request: Mapping[str, str], upload: UploadView) -> Accept | Refuse | None:
    """Decide on the body of a POST (extension creation-with-upload); None: it has none."""
    if request.get("Content-Length", "0") == "0" and "Transfer-Encoding" not in request:
        return None
    refused = _check_content_type(request, Dialect.STANDARD)
    return refused or _accept(request, upload)


def _accept(request: Mapping[str, str], upload: UploadView) -> Accept:
    limit = upload.length - upload.offset
    announced = request.get("Content-Length")
    if announced is not None and _number(announced, "Content-Length") > limit:
        raise TooLargeError(
            f"{announced} bytes at offset {upload.offset} pass the upload's length of {upload.length}",
            length=upload.length,
        )
    return Accept(upload.offset, limit)


def _check_content_type(request: Mapping[str, str], dialect: Dialect) -> Refuse | None:
    given = request.get("Content-Type", "").partition(";")[0].strip().lower()
    if dialect is Dialect.STANDARD and given != CONTENT_TYPE:
        return Refuse(Reason.CONTENT_TYPE, f"the content type must be {CONTENT_TYPE}")
    return None


def _offset(request: Mapping[str, str]) -> int:
    given = request.get("Upload-Offset")
    if given is None:
        raise InvalidRequestError(
            "Missing required Upload-Offset header for TUS PATCH request", field="Upload-Offset"
        )
    return _number(given, "Upload-Offset")


def parse_length(request: Mapping[str, str]) -> int:
    """Read Upload-Length of a creation.

    Raises:
        InvalidRequestError: missing, no whole number, or given together with Upload-Defer-Length.
    """
    if "Upload-Defer-Length" in request:
        raise InvalidRequestError("Upload-Defer-Length is not supported here", field="Upload-Defer-Length")
    given = request.get("Upload-Length")
    if given is None:
        raise InvalidRequestError("Upload-Length is required", field="Upload-Length")
    return _number(given, "Upload-Length")


def parse_metadata(value: str) -> dict[str, str]:
    """Read Upload-Metadata: comma-separated pairs of a key and a Base64 value, which may be left out.

    Raises:
        InvalidRequestError: a key twice, bad Base64, no UTF-8, or too long.
    """
    if len(value) > _METADATA_BYTES:
        raise InvalidRequestError(f"longer than {_METADATA_BYTES} bytes", field="Upload-Metadata")
    pairs: dict[str, str] = {}
    for part in value.split(",") if value.strip() else ():
        key, _, encoded = part.strip().partition(" ")
        if not key or key in pairs:
            raise InvalidRequestError(f"key missing or given twice: {key[:40]!r}", field="Upload-Metadata")
        try:
            pairs[key] = base64.b64decode(encoded.strip(), validate=True).decode()
        except (binascii.Error, UnicodeDecodeError) as error:
            raise InvalidRequestError(f"no Base64 of UTF-8: {key[:40]!r}", field="Upload-Metadata") from error
    return pairs


def _number(value: str, name: str) -> int:
    if not _NUMBER.fullmatch(value):
        raise InvalidRequestError(f"Invalid {name} header value: {value[:40]}", field=name)
    return int(value)
