"""Resumable uploads for HTTP (draft-ietf-httpbis-resumable-upload-12, interop version 8): what heads say."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message
from typing import Final

from domain.errors import InvalidRequestError, TooLargeError

INTEROP: Final = "8"
CONTENT_TYPE: Final = "application/partial-upload"
_NUMBER: Final = re.compile(r"[0-9]{1,15}")
_SHA256: Final = re.compile(r"(?:^|,)\s*sha-256=:([A-Za-z0-9+/]{43}=):")
_SHA256_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class Append:
    """What a request with a body says."""

    #: Whether its body is the last one.
    complete: bool
    #: Length of the whole upload as far as the request tells it, given where its body begins.
    length: int | None


class InconsistentLengthError(InvalidRequestError):
    """The request says another length than was said before (section 4.1.3)."""


def speaks_interop(request: Mapping[str, str]) -> bool:
    """Whether interim responses mean something to the client."""
    return request.get("Upload-Draft-Interop-Version") == INTEROP


def read_append(request: Mapping[str, str], offset: int, known: int | None, max_bytes: int) -> Append:
    """Read what a request appends at `offset` of an upload whose length is `known`, or not.

    Raises:
        InvalidRequestError: Upload-Complete or a number is missing or no such thing.
        InconsistentLengthError: lengths that contradict each other.
        TooLargeError: more bytes than any upload may have.
    """
    complete = _boolean(request, "Upload-Complete")
    body = _number(request, "Content-Length") if "Transfer-Encoding" not in request else None
    told = {known, _number(request, "Upload-Length")}
    if complete and body is not None:
        told.add(offset + body)
    told.discard(None)
    if len(told) > 1:
        lengths = sorted(found for found in told if found is not None)
        raise InconsistentLengthError(f"lengths contradict each other: {lengths}", field="Upload-Length")
    length = told.pop() if told else None
    if body is not None and length is not None and offset + body > length:
        raise InconsistentLengthError(f"{offset + body} bytes are more than {length}", field="Upload-Length")
    if max(length or 0, offset + (body or 0)) > max_bytes:
        raise TooLargeError(f"more than {max_bytes} bytes", max_bytes=max_bytes)
    return Append(complete, length)


def read_offset(request: Mapping[str, str]) -> int:
    """Where a PATCH wants its body to go. Raises InvalidRequestError."""
    offset = _number(request, "Upload-Offset")
    if offset is None:
        raise InvalidRequestError("is required", field="Upload-Offset")
    return offset


def limits(max_bytes: int, max_age_seconds: float | None = None) -> str:
    """Value of Upload-Limit."""
    age = "" if max_age_seconds is None else f", max-age={max(int(max_age_seconds), 0)}"
    return f"max-size={max_bytes}, min-size=0{age}"


def file_name(request: Mapping[str, str]) -> str | None:
    """The name a client gives its file in Content-Disposition (RFC 6266)."""
    value = request.get("Content-Disposition")
    if value is None:
        return None
    message = Message()
    message["Content-Disposition"] = value
    return message.get_filename()


def announced_sha256(request: Mapping[str, str]) -> str:
    """The SHA-256 the whole is announced to have in Repr-Digest (RFC 9530), in hexadecimal; empty: none."""
    match = _SHA256.search(request.get("Repr-Digest", ""))
    if match is None:
        return ""
    try:
        digest = base64.b64decode(match[1], validate=True)
    except binascii.Error as error:
        raise InvalidRequestError("no digest of SHA-256", field="Repr-Digest") from error
    if len(digest) != _SHA256_BYTES:
        raise InvalidRequestError("no digest of SHA-256", field="Repr-Digest")
    return digest.hex()


def boolean(value: bool) -> str:  # noqa: FBT001  it is one
    """A boolean of structured fields (RFC 9651 section 3.3.6)."""
    return "?1" if value else "?0"


def _boolean(request: Mapping[str, str], name: str) -> bool:
    value = request.get(name)
    if value not in ("?0", "?1"):
        raise InvalidRequestError("must be ?0 or ?1", field=name)
    return value == "?1"


def _number(request: Mapping[str, str], name: str) -> int | None:
    value = request.get(name)
    if value is None:
        return None
    if not _NUMBER.fullmatch(value):
        raise InvalidRequestError(f"not a number: {value[:40]}", field=name)
    return int(value)
