"""The tus resumable upload protocol 1.0.0: a request's head and the upload's state in, a decision out.

Two dialects share it. The collection `/files` speaks tus as written. The token URL `/upload?token=` speaks it
as Backend.AI's clients know it: it looks neither at `Tus-Resumable` nor at the content type, and the upload
was created beforehand by the manager.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from domain.errors import InvalidRequestError, TooLargeError
from gateway.protocol.checksum import Checksum, parse_checksum
from gateway.protocol.concat import Concat, parse_concat
from gateway.protocol.metadata import parse_metadata

VERSION: Final = "1.0.0"
#: Extensions of the collection, as `Tus-Extension` lists them.
EXTENSIONS: Final = (
    "creation",
    "creation-with-upload",
    "creation-defer-length",
    "termination",
    "expiration",
    "checksum",
    "concatenation",
    "concatenation-unfinished",
)
CONTENT_TYPE: Final = "application/offset+octet-stream"
#: Length up to which an upload that one request brings is in memory until it is stored, in bytes; about what is
#: buffered of any request.
SMALL_BYTES: Final = 256 << 10
#: One that is larger than anything may be is a number as well; as many digits as Python surely reads.
_NUMBER: Final = re.compile(r"[0-9]{1,1000}")
#: Fields of which there is one: of two that differ nobody knows which one was meant, by us or by a proxy.
_SINGLE: Final = (
    "Tus-Resumable",
    "Upload-Checksum",
    "Upload-Concat",
    "Upload-Defer-Length",
    "Upload-Length",
    "Upload-Metadata",
    "Upload-Offset",
)
#: What the SHA-256 of a body that is not there is.
_OF_NOTHING: Final = hashlib.sha256().digest()


class Dialect(StrEnum):
    """Whose tus is spoken."""

    STANDARD = "standard"
    BACKEND_AI = "backend.ai"


@dataclass(frozen=True, slots=True)
class UploadView:
    """What the protocol needs to know of an upload."""

    #: None: a final upload whose parts are not all there.
    offset: int | None
    #: None: not known yet.
    length: int | None
    metadata: str = ""
    #: Unix time after which it may be dropped; None: it is finished.
    expires: float | None = None
    #: Upload-Concat as it was given.
    concat: str = ""
    is_final: bool = False


@dataclass(frozen=True, slots=True)
class Creation:
    """What a POST asks for."""

    #: None: to be told later.
    length: int | None
    metadata: str
    concat: Concat | None
    #: SHA-256 the whole of it has, as Upload-Checksum tells it, in hexadecimal digits; empty: it does not.
    sha256: str = ""
    #: What of `metadata` is text.
    texts: Mapping[str, str] = field(default_factory=dict, compare=False)

    @property
    def is_final(self) -> bool:
        """Whether it is to be put together from parts."""
        return self.concat is not None and self.concat.parts is not None


@dataclass(frozen=True, slots=True)
class Accept:
    """Take the body: at most `limit` bytes, to be stored from `offset` on."""

    offset: int
    limit: int
    #: Length of the upload if this request tells it for the first time.
    length: int | None = None
    checksum: Checksum | None = None


class Reason(StrEnum):
    """Why a request is refused."""

    VERSION = "version"
    CODING = "coding"
    CONTENT_TYPE = "content-type"
    OFFSET_MISMATCH = "offset-mismatch"
    FINAL = "final"


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


def check_head(request: Mapping[str, str], dialect: Dialect) -> Refuse | None:
    """Refuse a PATCH for what its head says by itself: then nobody's upload is touched for it.

    Raises:
        InvalidRequestError: a field is there twice.
    """
    return check_version(request, dialect) or check_framing(request) or check_content_type(request, dialect)


def check_framing(request: Mapping[str, str]) -> Refuse | None:
    """Refuse a request of which it is not clear what it says, or which bytes its body has.

    Raises:
        InvalidRequestError: a field is there twice.
    """
    given = Counter(name.title() for name, _ in request.items())
    for name in _SINGLE:
        if given[name] > 1:
            raise InvalidRequestError("is given more than once", field=name)
    coding = request.get("Transfer-Encoding", "chunked")
    if coding.strip().lower() != "chunked":
        return Refuse(Reason.CODING, f"bodies come chunked or as they are, not {coding[:80]!r}")
    return None


def check_content_type(request: Mapping[str, str], dialect: Dialect) -> Refuse | None:
    """Refuse a body that is not said to be one of tus."""
    given = request.get("Content-Type", "").partition(";")[0].strip().lower()
    if dialect is Dialect.STANDARD and given != CONTENT_TYPE:
        return Refuse(Reason.CONTENT_TYPE, f"the content type must be {CONTENT_TYPE}")
    return None


def read_creation(request: Mapping[str, str], max_bytes: int) -> Creation:
    """Read what a POST asks for.

    Raises:
        InvalidRequestError: fields that make no sense, by themselves or together.
        TooLargeError: longer than any upload may be.
        ChecksumMismatchError: it has no bytes, and a checksum of others.
    """
    concat = parse_concat(request.get("Upload-Concat"))
    metadata = request.get("Upload-Metadata", "")
    texts = parse_metadata(metadata)
    checksum = parse_checksum(request)
    if concat is not None and concat.parts is not None:
        for name in ("Upload-Length", "Upload-Defer-Length"):
            if name in request:
                raise InvalidRequestError("a final upload is as long as its parts", field=name)
        return Creation(None, metadata, concat, texts=texts)
    length = _announced_length(request, max_bytes)
    if length == 0 and checksum is not None and not brings_body(request):
        checksum.check(b"", 0)
    whole = concat is None and length is not None and _is_of_whole(request, checksum, length)
    return Creation(length, metadata, concat, checksum.digest.hex() if whole and checksum else "", texts)


def _is_of_whole(request: Mapping[str, str], checksum: Checksum | None, length: int) -> bool:
    """Whether a checksum is that of all bytes of the upload.

    It is the body's, and the body may be all of them. Where there is no body, it can be no other than that of what
    will come; unless it is that of a body without bytes, as some clients send it.
    """
    if checksum is None or checksum.algorithm != "sha256":
        return False
    if brings_body(request):
        return request.get("Content-Length") == str(length)
    return length == 0 or checksum.digest != _OF_NOTHING


def _announced_length(request: Mapping[str, str], max_bytes: int) -> int | None:
    given, deferred = request.get("Upload-Length"), request.get("Upload-Defer-Length")
    if deferred is not None and (deferred != "1" or given is not None):
        raise InvalidRequestError("must be 1, and not beside Upload-Length", field="Upload-Defer-Length")
    if deferred is not None:
        return None
    if given is None:
        raise InvalidRequestError("Upload-Length is required", field="Upload-Length")
    return _checked_length(given, max_bytes)


def _checked_length(given: str, max_bytes: int) -> int:
    length = _number(given, "Upload-Length")
    if length > max_bytes:
        raise TooLargeError(f"{length} bytes are more than {max_bytes}", max_bytes=max_bytes)
    return length


def decide_patch(
    request: Mapping[str, str], upload: UploadView, dialect: Dialect, max_bytes: int
) -> Accept | Refuse:
    """Decide on a PATCH.

    Raises:
        InvalidRequestError: a field is missing, is no number, is there twice, or contradicts what is known.
        TooLargeError: the body would pass the upload's length, or that any upload may have.
    """
    refused = check_head(request, dialect) or _check_final(upload)
    if refused is not None:
        return refused
    offset = read_offset(request)
    if offset != upload.offset:
        return elsewhere(upload.offset, offset)
    return _accept(request, upload, offset, _told_length(request, upload, offset, max_bytes), max_bytes)


def elsewhere(expected: int | None, given: int) -> Refuse:
    """Refuse a PATCH at another offset than the upload's."""
    return Refuse(
        Reason.OFFSET_MISMATCH,
        f"Upload offset mismatch: expected {expected}, got {given}",
        {"expected-offset": expected, "provided-offset": given},
    )


def brings_all(request: Mapping[str, str], creation: Creation) -> bool:
    """Whether a POST has all bytes of a small upload with it."""
    length = creation.length
    return (
        length is not None
        and 0 < length <= SMALL_BYTES
        and creation.concat is None
        and request.get("Content-Length") == str(length)
        and "Transfer-Encoding" not in request
    )


def brings_size(request: Mapping[str, str]) -> int | None:
    """Length of a PATCH's body that may be all bytes of a small upload; None if it is not, or more is said."""
    size = request.get("Content-Length", "")
    is_small = _NUMBER.fullmatch(size) is not None and 0 < int(size) <= SMALL_BYTES
    is_first = request.get("Upload-Offset") == "0" and "Upload-Length" not in request
    return int(size) if is_small and is_first and "Transfer-Encoding" not in request else None


def brings_body(request: Mapping[str, str]) -> bool:
    """Whether a POST has bytes of an upload with it."""
    return request.get("Content-Length", "0") != "0" or "Transfer-Encoding" in request


def decide_first_body(request: Mapping[str, str], creation: Creation, max_bytes: int) -> Accept | Refuse | None:
    """Decide on the body of a POST (extension creation-with-upload), before anything is made; None: it has none.

    Raises as `decide_patch`.
    """
    if not brings_body(request):
        return None
    upload = UploadView(0, creation.length, is_final=creation.is_final)
    refused = _check_final(upload) or check_content_type(request, Dialect.STANDARD)
    return refused or _accept(request, upload, 0, None, max_bytes)


def _told_length(request: Mapping[str, str], upload: UploadView, offset: int, max_bytes: int) -> int | None:
    """The length of a deferred upload if this request tells it; it may be told again, but not changed."""
    given = request.get("Upload-Length")
    if given is None:
        return None
    length = _checked_length(given, max_bytes)
    if upload.length is not None and length != upload.length:
        raise InvalidRequestError(f"the length is known to be {upload.length}", field="Upload-Length")
    if length < offset:
        raise InvalidRequestError(f"{offset} bytes are stored already", field="Upload-Length")
    return length if upload.length is None else None


def _accept(
    request: Mapping[str, str], upload: UploadView, offset: int, told: int | None, max_bytes: int
) -> Accept:
    length = upload.length if told is None else told
    limit = (max_bytes if length is None else length) - offset
    announced = request.get("Content-Length")
    if announced is not None and _number(announced, "Content-Length") > limit:
        raise TooLargeError(
            f"{announced} bytes at offset {offset} pass the upload's length of {offset + limit}",
            length=offset + limit,
        )
    return Accept(offset, limit, told, parse_checksum(request))


def _check_final(upload: UploadView) -> Refuse | None:
    return Refuse(Reason.FINAL, "a final upload takes no bytes of its own") if upload.is_final else None


def read_offset(request: Mapping[str, str]) -> int:
    """Where a PATCH wants its body to go. Raises InvalidRequestError."""
    given = request.get("Upload-Offset")
    if given is None:
        raise InvalidRequestError(
            "Missing required Upload-Offset header for TUS PATCH request", field="Upload-Offset"
        )
    return _number(given, "Upload-Offset")


def _number(value: str, name: str) -> int:
    if not _NUMBER.fullmatch(value):
        raise InvalidRequestError(f"Invalid {name} header value: {value[:40]}", field=name)
    return int(value)
