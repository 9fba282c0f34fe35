"""Requests (RFC 9112) that came whole and say nothing but what a download, or a small upload, needs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from gateway.protocol.tus import SMALL_BYTES

#: Longest head looked at, in bytes; longer ones, and longer bodies than small uploads have, are for the library.
_HEAD_BYTES: Final = 16 << 10
_HEAD: Final = re.compile(rb"(GET|POST|PATCH) ([!-~]+) HTTP/1\.1((?:\r\n[!-9;-~]+:[\t -~]*)+)\r\n\r\n")
_NUMBER: Final = re.compile(r"[0-9]{1,6}")
#: Fields that make no difference.
_IGNORED: Final = frozenset(
    {"user-agent", "accept", "accept-encoding", "accept-language", "cache-control", "cookie", "pragma", "referer"}
)
_ALWAYS: Final = ("Host", "Connection", "X-Request-ID")
#: Fields that do, by methods, as they are called by who decides on them.
_DECIDING: Final = {
    "GET": (
        "Range",
        "If-Range",
        "If-Match",
        "If-None-Match",
        "If-Modified-Since",
        "If-Unmodified-Since",
    ),
    "POST": (
        "Authorization",
        "Content-Length",
        "Content-Type",
        "Tus-Resumable",
        "Upload-Length",
        "Upload-Metadata",
    ),
    "PATCH": (
        "Authorization",
        "Content-Length",
        "Content-Type",
        "Tus-Resumable",
        "Upload-Offset",
    ),
}
_KNOWN: Final = {method: {name.lower(): name for name in (*_ALWAYS, *names)} for method, names in _DECIDING.items()}


@dataclass(frozen=True, slots=True)
class SimpleRequest:
    """A request on a connection that is kept."""

    method: str
    target: str
    #: Header fields, by the names of `_DECIDING`.
    fields: Mapping[str, str]
    body: bytes = b""


def read_simple_request(data: bytes) -> SimpleRequest | None:
    """Read what came from a connection; None unless it is exactly one request of this kind."""
    match = _HEAD.match(data, 0, _HEAD_BYTES)
    if match is None or len(data) - match.end() > SMALL_BYTES:
        return None
    method = match[1].decode("ascii")
    fields = _read_fields(match[3].decode("ascii"), _KNOWN[method])
    if fields is None or not fields.pop("Host", ""):
        return None
    if fields.pop("Connection", "keep-alive").lower() != "keep-alive":
        return None
    request = SimpleRequest(method, match[2].decode("ascii"), fields, data[match.end() :])
    return request if _is_whole(request) else None


def _read_fields(text: str, known: Mapping[str, str]) -> dict[str, str] | None:
    """Fields by the names of `known`; None if there is another one, or one twice."""
    fields: dict[str, str] = {}
    for line in text.split("\r\n")[1:]:
        given, _, value = line.partition(":")
        given = given.lower()
        if given in _IGNORED:
            continue
        name = known.get(given)
        if name is None or name in fields:
            return None
        fields[name] = value.strip(" \t")
    return fields


def _is_whole(request: SimpleRequest) -> bool:
    """Whether it ends where its body is said to."""
    if request.method == "GET":
        return not request.body
    length = request.fields.get("Content-Length", "")
    return _NUMBER.fullmatch(length) is not None and int(length) == len(request.body)
