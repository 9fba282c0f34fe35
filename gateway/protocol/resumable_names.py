"""The name a client gives its file in Content-Disposition (RFC 6266)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import unquote_to_bytes

from domain.errors import InvalidRequestError
from gateway.protocol.fields import field_value

FIELD: Final = "Content-Disposition"
_TYPE: Final = re.compile(r"\s*[!#$%&'*+.^_`|~0-9A-Za-z-]+\s*")
#: One parameter. What is not in quotes may be more than a token: so some clients write names.
_PARAMETER: Final = re.compile(
    r";\s*(?P<name>[!#$%&'*+.^_`|~0-9A-Za-z-]+)\s*=\s*(?:\"(?P<quoted>(?:[^\"\\]|\\.)*)\"|(?P<bare>[^\s;\"]*))\s*"
)
#: A name with what it is written in (RFC 8187).
_EXTENDED: Final = re.compile(r"(?P<charset>[A-Za-z0-9-]+)'[A-Za-z0-9-]*'(?P<text>(?:%[0-9A-Fa-f]{2}|[^%'\"])*)")
_CHARSETS: Final = ("utf-8", "iso-8859-1")


def file_name(request: Mapping[str, str]) -> str:
    """The name of the file: `filename*` if it can be read, else `filename`.

    Raises:
        InvalidRequestError: it gives none, more than one, or one that is no text.
    """
    value = field_value(request, FIELD)
    if value is None or value != request.get(FIELD):
        raise InvalidRequestError("must name the file, once", field=FIELD)
    given = _parameters(value)
    name = _extended(given.get("filename*", "")) or given.get("filename", "")
    if not name or any("\ud800" <= letter <= "\udfff" for letter in name):
        raise InvalidRequestError("must name the file, in UTF-8", field=FIELD)
    return name


def _parameters(value: str) -> dict[str, str]:
    """Parameters by their names in small letters."""
    match = _TYPE.match(value)
    found: dict[str, str] = {}
    while match is not None and match.end() < len(value):
        match = _PARAMETER.match(value, match.end())
        if match is not None and (name := match["name"].lower()) not in found:
            found[name] = match["bare"] if match["quoted"] is None else re.sub(r"\\(.)", r"\1", match["quoted"])
        else:
            match = None
    if match is None:
        raise InvalidRequestError("is a type and parameters, each of them once", field=FIELD)
    return found


def _extended(value: str) -> str:
    """What an extended value says; empty if it cannot be read."""
    match = _EXTENDED.fullmatch(value)
    if match is None or match["charset"].lower() not in _CHARSETS:
        return ""
    try:
        return unquote_to_bytes(match["text"]).decode(match["charset"])
    except UnicodeError:  # of bytes in the field that are no text, too
        return ""
