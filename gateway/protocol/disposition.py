"""Content-Disposition with any file name (RFC 6266, RFC 8187)."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote

#: What RFC 8187 calls attr-char, besides letters and digits.
_ATTR_SIGNS: Final = "!#$&+-.^_`|~"
_UNSAFE: Final = re.compile(r'[\x00-\x1f\x7f/\\"]')
#: Longest name told, in bytes of UTF-8; longer ones lose their end but keep what they end on.
_MAX_BYTES: Final = 200


def attachment(name: str) -> str:
    """Value of Content-Disposition that offers to save under `name`."""
    shown = _shortened(_UNSAFE.sub("_", name)) or "download"
    plain = shown.encode("ascii", "replace").decode().replace("?", "_")
    if not plain.strip("._ "):
        plain = "download"
    encoded = quote(shown.encode("utf-8", "replace"), safe=_ATTR_SIGNS)
    return f"attachment;filename=\"{plain}\"; filename*=UTF-8''{encoded}"


def offered(name: str) -> dict[str, str]:
    """Header fields of anything that is offered to be saved, and never to be shown by a guess at what it is."""
    return {"Content-Disposition": attachment(name), "X-Content-Type-Options": "nosniff"}


def _shortened(name: str) -> str:
    if len(name.encode("utf-8", "replace")) <= _MAX_BYTES:
        return name
    stem, dot, ending = name.rpartition(".")
    if not dot or len(ending.encode("utf-8", "replace")) > 20:
        stem, dot, ending = name, "", ""
    room = _MAX_BYTES - len((dot + ending).encode("utf-8", "replace"))
    return stem.encode("utf-8", "replace")[:room].decode("utf-8", "ignore") + dot + ending
