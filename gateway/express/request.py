"""Requests (RFC 9112) that came whole and say nothing but what a download, or a small upload, needs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from gateway.protocol.host import is_host
from gateway.protocol.tus import SMALL_BYTES

#: Longest head looked at, in bytes; longer ones, and longer bodies than small uploads have, are for the library.
_HEAD_BYTES: Final = 16 << 10
#: Fields of a head looked at; the library knows how many may be.
_FIELDS: Final = 64
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
    #: Bytes of the body that have not come yet.
    missing: int = 0


def read_simple_request(data: bytes) -> SimpleRequest | None:
    """Read what came from a connection; None unless it is one request of this kind, or its head and some bytes."""
    match = _HEAD.match(data, 0, _HEAD_BYTES)
    if match is None or len(data) - match.end() > SMALL_BYTES:
        return None
    method = match[1].decode("ascii")
    fields = _read_fields(match[3].decode("ascii"), _KNOWN[method])
    if fields is None or not (host := fields.pop("Host", "")) or not is_host(host):
        return None
    if fields.pop("Connection", "keep-alive").lower() != "keep-alive":
        return None
    missing = _missing(method, fields, len(data) - match.end())
    if missing is None:
        return None
    return SimpleRequest(method, match[2].decode("ascii"), fields, data[match.end() :], missing)


def _read_fields(text: str, known: Mapping[str, str]) -> dict[str, str] | None:
    """Fields by the names of `known`; None if there is another one, or one twice, or if there are many."""
    fields: dict[str, str] = {}
    lines = text.split("\r\n")[1:]
    if len(lines) > _FIELDS:
        return None
    for line in lines:
        given, _, value = line.partition(":")
        given = given.lower()
        if given in _IGNORED:
            continue
        name = known.get(given)
        if name is None or name in fields:
            return None
        fields[name] = value.strip(" \t")
    return fields


def _missing(method: str, fields: Mapping[str, str], come: int) -> int | None:
    """Bytes of a body that have not come yet; None if more has come than it has, or that cannot be known."""
    if method == "GET":
        return None if come else 0
    length = fields.get("Content-Length", "")
    if _NUMBER.fullmatch(length) is None or not come <= int(length) <= SMALL_BYTES:
        return None
    return int(length) - come
