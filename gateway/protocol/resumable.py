"""Resumable uploads for HTTP (draft-ietf-httpbis-resumable-upload): what heads say.

Spoken is what drafts -09 to -12 have in common. Those up to -11 are interop version 8, -12 is version 9; what is
sent and answered here is the same in both. Clients ignore an interim response of another version than their own, so
each is answered in the one it names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from domain.errors import ConflictError, InvalidRequestError, Subject, TooLargeError
from gateway.protocol.fields import field_value
from gateway.protocol.resumable_digests import ContentDigest, content_digest
from gateway.protocol.resumable_fields import Value, read_item

#: Interop versions of the draft that are spoken.
INTEROP: Final = (8, 9)
CONTENT_TYPE: Final = "application/partial-upload"
_LENGTH: Final = re.compile(r"[0-9]{1,19}")


@dataclass(frozen=True, slots=True)
class Append:
    """What a request with a part of an upload says."""

    #: Where its body goes.
    offset: int
    #: Whether the upload ends with its body.
    complete: bool
    #: Length of its body; None: that shows when it is over.
    size: int | None
    #: Length of the whole upload, if it is told.
    told: int | None
    digest: ContentDigest | None

    @property
    def brings_something(self) -> bool:
        """Whether it has bytes with it, as far as its head tells, or that there are no more."""
        return self.size != 0 or self.complete


class InconsistentLengthError(InvalidRequestError):
    """The request says, or brings, another length than was said before (section 4.1.3)."""


class ExceedingLengthError(InconsistentLengthError):
    """The request brings more bytes than the upload may have, which ends it (section 4.4.2)."""


class MismatchingOffsetError(ConflictError):
    """The upload goes on at another offset (section 4.4.2)."""

    def __init__(self, expected: int | None, given: int) -> None:
        super().__init__(
            f"the upload goes on at {expected}, not at {given}", subject=Subject.UPLOAD, offset=expected
        )
        self.expected = expected
        self.given = given
        #: Where the upload is, if its client may not know.
        self.location = ""


class CompletedUploadError(ConflictError):
    """The upload is complete, and the request is not the one that has completed it."""


class OtherContentTypeError(InvalidRequestError):
    """What is to be appended is not said to be a part of an upload (section 6)."""


def interop_version(request: Mapping[str, str]) -> int | None:
    """The version in which interim responses mean something to the client; None: they do not."""
    try:
        version = read_item(field_value(request, "Upload-Draft-Interop-Version") or "")
    except ValueError:
        return None
    return version if isinstance(version, int) and version in INTEROP else None


def read_append(request: Mapping[str, str], offset: int) -> Append:
    """Read the head of a request whose body goes to `offset`.

    Raises:
        InvalidRequestError: a field is missing, there twice, or no such thing.
    """
    complete = _item(request, "Upload-Complete")
    if not isinstance(complete, bool):
        raise InvalidRequestError("must be ?0 or ?1", field="Upload-Complete")
    return Append(
        offset, complete, _content_length(request), _number(request, "Upload-Length"), content_digest(request)
    )


def read_offset(request: Mapping[str, str]) -> int:
    """Where a PATCH wants its body to go. Raises InvalidRequestError."""
    offset = _number(request, "Upload-Offset")
    if offset is None:
        raise InvalidRequestError("is required", field="Upload-Offset")
    return offset


def check_content_type(request: Mapping[str, str]) -> None:
    """See that a PATCH brings a part of an upload. Raises OtherContentTypeError."""
    if request.get("Content-Type", "").partition(";")[0].strip().lower() != CONTENT_TYPE:
        raise OtherContentTypeError(f"the content type must be {CONTENT_TYPE}", field="Content-Type")


def check_begins_at_first_byte(request: Mapping[str, str]) -> None:
    """See that a PUT brings no range of a file, as RFC 9110 section 14.5 knows it. Raises InvalidRequestError."""
    if "Content-Range" in request:
        raise InvalidRequestError("is not known here: PATCH an upload at its Upload-Offset", field="Content-Range")


def length_with(append: Append, known: int | None, max_bytes: int) -> int | None:
    """Length of an upload of which `known` is, as far as a request tells it as well (section 4.1.3).

    Raises:
        ExceedingLengthError: its body alone is too long for what is known.
        InconsistentLengthError: lengths that contradict each other.
        TooLargeError: more bytes than any upload may have.
    """
    end = append.offset + (append.size or 0)
    if known is not None and end > known:
        raise ExceedingLengthError(f"{end} bytes are more than {known}", field="Upload-Length")
    told = {known, append.told, end if append.complete and append.size is not None else None} - {None}
    if len(told) > 1:
        lengths = sorted(found for found in told if found is not None)
        raise InconsistentLengthError(f"lengths contradict each other: {lengths}", field="Upload-Length")
    length = told.pop() if told else None
    if length is not None and end > length:
        raise InconsistentLengthError(f"{end} bytes are more than {length}", field="Upload-Length")
    if max(length or 0, end) > max_bytes:
        raise TooLargeError(f"more than {max_bytes} bytes", max_bytes=max_bytes)
    return length


def limits(max_bytes: int, max_age_seconds: float | None = None) -> str:
    """Value of Upload-Limit (section 4.1.4)."""
    age = "" if max_age_seconds is None else f", max-age={max(int(max_age_seconds), 0)}"
    return f"max-size={max_bytes}, min-size=0{age}"


def boolean(value: bool) -> str:  # noqa: FBT001  it is one
    """A boolean of structured fields (RFC 9651 section 3.3.6)."""
    return "?1" if value else "?0"


def _item(request: Mapping[str, str], name: str) -> Value | None:
    value = field_value(request, name)
    if value is None:
        return None
    try:
        return read_item(value)
    except ValueError as error:
        raise InvalidRequestError(str(error), field=name) from error


def _number(request: Mapping[str, str], name: str) -> int | None:
    value = _item(request, name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise InvalidRequestError("must be a number of bytes", field=name)
    return value


def _content_length(request: Mapping[str, str]) -> int | None:
    if "Transfer-Encoding" in request:
        return None
    value = request.get("Content-Length", "0")
    if not _LENGTH.fullmatch(value):
        raise InvalidRequestError("must be a number of bytes", field="Content-Length")
    return int(value)
