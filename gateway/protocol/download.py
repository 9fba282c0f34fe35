"""What to answer to a GET or HEAD (RFC 9110 sections 13 and 14): preconditions, then ranges."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from backends.contract import FileStat
from gateway.protocol.fields import field_value
from gateway.protocol.ranges import ByteRange, UnsatisfiableError, parse_ranges
from gateway.protocol.validators import EntityTag, http_date, parse_date, parse_tags

_NS: Final = 1_000_000_000
#: What a file is sent as, unless somebody knows better.
BYTES: Final = "application/octet-stream"
#: Files of which what there is to tell is remembered.
_REMEMBERED: Final = 1000


@dataclass(frozen=True, slots=True)
class Representation:
    """Bytes that can be asked for."""

    tag: EntityTag
    #: Unix time of the last change, in seconds.
    modified: int
    size: int
    media_type: str = BYTES


@dataclass(frozen=True, slots=True)
class DownloadPlan:
    """A status, header fields, and what to send: bytes as they are, and parts of the representation."""

    status: int
    headers: Mapping[str, str]
    body: Sequence[bytes | ByteRange] = ()
    #: Length the body would have; also told without a body where that is right.
    content_length: int | None = None


@lru_cache(_REMEMBERED)
def file_representation(known: FileStat, media_type: str = BYTES) -> Representation:
    """A file: other bytes, another file of the name, or another length give another tag.

    The time of the last change of attributes is in it as well: tools that copy times, where numbers of files are
    used again, would otherwise make two files of one tag.
    """
    tag = EntityTag(f"{known.modified_ns:x}-{known.size_bytes:x}-{known.identity:x}-{known.changed_ns:x}")
    return Representation(tag, known.modified_ns // _NS, known.size_bytes, media_type)


def plan_download(
    known: Representation, request: Mapping[str, str], method: str, *, now: float | None = None
) -> DownloadPlan:
    """Decide on a request.

    Args:
        request: its header fields, case-insensitively.
        now: Unix time of the answer; the present one if it is not told.
    """
    now = time.time() if now is None else now
    # A change to come is none anybody was told of: the answer's own time stands for it (section 8.8.2.1).
    validators = {"ETag": str(known.tag), "Last-Modified": http_date(min(max(known.modified, 0), now))}
    unsent = _unsent(known, request, validators)
    if unsent is not None:
        return unsent
    headers = {**validators, "Accept-Ranges": "bytes", "Content-Type": known.media_type}
    if method == "HEAD":
        return DownloadPlan(200, headers, content_length=known.size)
    try:
        parts = (
            parse_ranges(field_value(request, "Range"), known.size) if _range_applies(known, request, now) else None
        )
    except UnsatisfiableError:
        unsatisfied = {**validators, "Content-Range": f"bytes */{known.size}"}
        return DownloadPlan(416, unsatisfied, content_length=0)
    if parts is None:
        whole = [ByteRange(0, known.size)] if known.size else []
        return DownloadPlan(200, headers, whole, known.size)
    if len(parts) == 1:
        single = {**headers, "Content-Range": parts[0].content_range(known.size)}
        return DownloadPlan(206, single, parts, parts[0].count)
    return _multipart(known, headers, parts)


def plan_unnamed(request: Mapping[str, str]) -> DownloadPlan | None:
    """Decide on a request for bytes that have neither a tag nor a date; None: they are sent, all of them."""
    return _unsent(None, request, {})


def _unsent(
    known: Representation | None, request: Mapping[str, str], validators: Mapping[str, str]
) -> DownloadPlan | None:
    """The answer that sends nothing because of the request's conditions, if one does."""
    match _preconditions(known, request):
        case None:
            return None
        case 304 as status:
            return DownloadPlan(status, validators)  # it repeats what a 200 would have said
        case status:
            return DownloadPlan(status, {}, content_length=0)  # it has nothing to say of it


def _multipart(known: Representation, headers: Mapping[str, str], parts: Sequence[ByteRange]) -> DownloadPlan:
    """Several ranges in one body (section 14.6)."""
    boundary = secrets.token_hex(16)
    body: list[bytes | ByteRange] = []
    for part in parts:
        head = (
            f"\r\n--{boundary}\r\nContent-Type: {known.media_type}\r\n"
            f"Content-Range: {part.content_range(known.size)}\r\n\r\n"
        )
        body += [head.encode(), part]
    body.append(f"\r\n--{boundary}--\r\n".encode())
    length = sum(len(item) if isinstance(item, bytes) else item.count for item in body)
    return DownloadPlan(
        206, {**headers, "Content-Type": f"multipart/byteranges; boundary={boundary}"}, body, length
    )


def _preconditions(known: Representation | None, request: Mapping[str, str]) -> int | None:
    """Evaluate in the order of section 13.2.2; a status ends the matter.

    Args:
        known: what dates and tags are compared with; None: there are none, so dates are passed over.
    """
    tag = None if known is None else known.tag
    if_match = field_value(request, "If-Match")
    if if_match is not None:
        if not _listed(tag, if_match, weakly=False):
            return 412
    elif known and (since := _date(request, "If-Unmodified-Since")) is not None and known.modified > since:
        return 412
    if_none_match = field_value(request, "If-None-Match")
    if if_none_match is not None:
        if _listed(tag, if_none_match, weakly=True):
            return 304
    elif known and (since := _date(request, "If-Modified-Since")) is not None and known.modified <= since:
        return 304
    return None


def _listed(tag: EntityTag | None, value: str, *, weakly: bool) -> bool:
    if value.strip() == "*":
        return True
    if tag is None:
        return False
    tags = parse_tags(value) or []
    return any(tag.matches_weakly(other) if weakly else tag.matches_strongly(other) for other in tags)


def _range_applies(known: Representation, request: Mapping[str, str], now: float) -> bool:
    """Whether Range is to be honoured: If-Range must name exactly these bytes (section 13.1.5)."""
    value = field_value(request, "If-Range")
    if value is None:
        return True
    if value.lstrip().startswith(('"', "W/")):
        tags = parse_tags(value) or []
        return len(tags) == 1 and known.tag.matches_strongly(tags[0])
    # Within one second there may have been others: a date says which bytes only when it is over (section 8.8.2.2).
    return parse_date(value) == known.modified and known.modified + 1 <= now


def _date(request: Mapping[str, str], name: str) -> int | None:
    value = field_value(request, name)
    return None if value is None else parse_date(value)
