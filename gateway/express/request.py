"""Request heads (RFC 9112) that say nothing but what a download needs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

#: Longest head looked at, in bytes; longer ones are the library's business.
_MAX_BYTES: Final = 16 << 10
_HEAD: Final = re.compile(rb"GET ([!-~]+) HTTP/1\.1((?:\r\n[!-9;-~]+:[\t -~]*)+)\r\n\r\n")
#: Fields that make no difference to a download.
_IGNORED: Final = frozenset(
    {"user-agent", "accept", "accept-encoding", "accept-language", "cache-control", "cookie", "pragma", "referer"}
)
#: Fields that do, as they are called by who decides on them.
_KNOWN: Final = {
    "host": "Host",
    "connection": "Connection",
    "range": "Range",
    "if-range": "If-Range",
    "if-match": "If-Match",
    "if-none-match": "If-None-Match",
    "if-modified-since": "If-Modified-Since",
    "if-unmodified-since": "If-Unmodified-Since",
    "x-request-id": "X-Request-ID",
}


@dataclass(frozen=True, slots=True)
class SimpleHead:
    """A GET without a body on a connection that is kept."""

    target: str
    #: Header fields, by the names of `_KNOWN`.
    fields: Mapping[str, str]


def read_simple_head(data: bytes) -> SimpleHead | None:
    """Read what came from a connection; None unless it is exactly one head of this kind."""
    match = _HEAD.fullmatch(data) if len(data) <= _MAX_BYTES else None
    if match is None:
        return None
    fields: dict[str, str] = {}
    for line in match[2].decode("ascii").split("\r\n")[1:]:
        name, _, value = line.partition(":")
        name = name.lower()
        if name in _IGNORED:
            continue
        known = _KNOWN.get(name)
        if known is None or known in fields:
            return None
        fields[known] = value.strip(" \t")
    if not fields.pop("Host", "") or fields.pop("Connection", "keep-alive").lower() != "keep-alive":
        return None
    return SimpleHead(match[1].decode("ascii"), fields)
