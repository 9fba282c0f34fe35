"""What to answer to a GET or HEAD of a file (RFC 9110 sections 13 and 14): preconditions, then ranges."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from backends.contract import FileStat
from gateway.protocol.ranges import ByteRange, UnsatisfiableError, parse_range
from gateway.protocol.validators import EntityTag, http_date, parse_date, parse_tags

_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class DownloadPlan:
    """A status, header fields, and the bytes to send (None: no body)."""

    status: int
    headers: Mapping[str, str]
    body: ByteRange | None = None
    #: Length the body would have; also told without a body where that is right.
    content_length: int | None = field(default=None)


def entity_tag(known: FileStat) -> EntityTag:
    """The tag of a file: other bytes, another file of the name, or another length give another one."""
    return EntityTag(f"{known.modified_ns:x}-{known.size_bytes:x}-{known.identity:x}")


def plan_download(known: FileStat, request: Mapping[str, str], method: str) -> DownloadPlan:
    """Decide on a request for a file. `request` holds its header fields, case-insensitively."""
    tag = entity_tag(known)
    modified = known.modified_ns // _NS
    validators = {"ETag": str(tag), "Last-Modified": http_date(modified)}
    status = _preconditions(tag, modified, request)
    if status is not None:
        # A 304 repeats what a 200 would have said of the file; a 412 has nothing to say of it.
        return DownloadPlan(
            status, validators if status == 304 else {}, content_length=None if status == 304 else 0
        )
    headers = {**validators, "Accept-Ranges": "bytes"}
    size = known.size_bytes
    whole = ByteRange(0, size) if size else None
    if method == "HEAD":
        return DownloadPlan(200, headers, content_length=size)
    if not _range_applies(tag, modified, request):
        return DownloadPlan(200, headers, whole, size)
    try:
        part = parse_range(request.get("Range"), size)
    except UnsatisfiableError:
        return DownloadPlan(416, {**validators, "Content-Range": f"bytes */{size}"}, content_length=0)
    if part is None:
        return DownloadPlan(200, headers, whole, size)
    return DownloadPlan(206, {**headers, "Content-Range": part.content_range(size)}, part, part.count)


def _preconditions(tag: EntityTag, modified: int, request: Mapping[str, str]) -> int | None:
    """Evaluate in the order of section 13.2.2; a status ends the matter."""
    if_match = request.get("If-Match")
    if if_match is not None:
        if not _listed(tag, if_match, weakly=False):
            return 412
    elif (unmodified_since := _date(request, "If-Unmodified-Since")) is not None and modified > unmodified_since:
        return 412
    if_none_match = request.get("If-None-Match")
    if if_none_match is not None:
        if _listed(tag, if_none_match, weakly=True):
            return 304
    elif (modified_since := _date(request, "If-Modified-Since")) is not None and modified <= modified_since:
        return 304
    return None


def _listed(tag: EntityTag, value: str, *, weakly: bool) -> bool:
    if value.strip() == "*":
        return True
    tags = parse_tags(value) or []
    return any(tag.matches_weakly(other) if weakly else tag.matches_strongly(other) for other in tags)


def _range_applies(tag: EntityTag, modified: int, request: Mapping[str, str]) -> bool:
    """Whether Range is to be honoured: If-Range must name exactly this file (section 13.1.5)."""
    value = request.get("If-Range")
    if value is None:
        return True
    if value.lstrip().startswith(('"', "W/")):
        tags = parse_tags(value) or []
        return len(tags) == 1 and tag.matches_strongly(tags[0])
    return parse_date(value) == modified


def _date(request: Mapping[str, str], name: str) -> int | None:
    value = request.get(name)
    return None if value is None else parse_date(value)
