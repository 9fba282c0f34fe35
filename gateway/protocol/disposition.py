"""Content-Disposition with any file name (RFC 6266, RFC 8187), and what goes with it."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote

#: What RFC 8187 calls attr-char, besides letters and digits.
_ATTR_SIGNS: Final = "!#$&+-.^_`|~"
_UNSAFE: Final = re.compile(r'[\x00-\x1f\x7f/\\"]')
#: Some programs read this as an escaped letter, where it stands without an encoding (RFC 6266, appendix D).
_ESCAPE: Final = re.compile(r"%(?=[0-9A-Fa-f]{2})")
#: Longest name told, in bytes of UTF-8; longer ones lose their end but keep what they end on.
_MAX_BYTES: Final = 200
_MAX_ENDING_BYTES: Final = 25
#: What a name ends on: of an archive that is packed, both.
_ENDING: Final = re.compile(r"(\.tar)?\.[^.]*\Z")
#: What holds for all that is sent to who has a token: it stands in the URL, so a cache others use keeps nothing;
#: nobody guesses at what it is; and which page may read it depends on the page.
_ALWAYS: Final = {"X-Content-Type-Options": "nosniff", "Cache-Control": "private", "Vary": "Origin"}
#: What is shown may do nothing: no scripts, no forms, no origin of its own, nothing from elsewhere.
_SANDBOX: Final = "default-src 'none'; img-src 'self'; media-src 'self'; style-src 'unsafe-inline'; sandbox"


def attachment(name: str) -> str:
    """Value of Content-Disposition that offers to save under `name`."""
    return _disposition("attachment", name)


def offered(name: str) -> dict[str, str]:
    """Header fields of anything that is offered to be saved."""
    return {"Content-Disposition": attachment(name), **_ALWAYS}


def shown(name: str, media_type: str) -> dict[str, str]:
    """Header fields of what a browser may show in its window."""
    return {
        "Content-Disposition": _disposition("inline", name),
        **_ALWAYS,
        "Content-Type": media_type,
        "Content-Security-Policy": _SANDBOX,
    }


def _disposition(kind: str, name: str) -> str:
    full = _shortened(_UNSAFE.sub("_", name)) or "download"
    plain = _ESCAPE.sub("_", full.encode("ascii", "replace").decode().replace("?", "_"))
    if not plain.strip("._ "):
        plain = "download"
    encoded = quote(full.encode("utf-8", "replace"), safe=_ATTR_SIGNS)
    return f"{kind};filename=\"{plain}\"; filename*=UTF-8''{encoded}"


def _shortened(name: str) -> str:
    if len(name.encode("utf-8", "replace")) <= _MAX_BYTES:
        return name
    found = _ENDING.search(name)
    ending = found.group() if found else ""
    if len(ending.encode("utf-8", "replace")) > _MAX_ENDING_BYTES:
        ending = ""
    stem = name.removesuffix(ending).encode("utf-8", "replace")
    room = _MAX_BYTES - len(ending.encode("utf-8", "replace"))
    return stem[:room].decode("utf-8", "ignore") + ending
