"""Upload-Metadata of tus 1.0.0 (extension creation), and what clients put there."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Final

from domain.errors import InvalidRequestError

#: Longest Upload-Metadata taken, in bytes.
_METADATA_BYTES: Final = 8192
_SHA256: Final = re.compile(r"[0-9a-fA-F]{64}")
#: Where the name of a file is looked for. Uppy writes the word `null` into what it does not know.
_NAMES: Final = ("relativePath", "filename", "name")
#: Keys whose values are text: those all clients use, and those that mean something here. Others may be anything.
_TEXT: Final = frozenset({"relativePath", "filename", "filetype", "sha256", "extract"})
_NOTHING: Final = ("", "null", "undefined")


def parse_metadata(value: str) -> dict[str, str]:
    """Read comma-separated pairs of a key and a Base64 value, which may be left out; those that are text.

    Raises:
        InvalidRequestError: a key twice, bad Base64, no UTF-8 where text has to be, no ASCII, or too long.
    """
    if len(value) > _METADATA_BYTES:
        raise InvalidRequestError(f"longer than {_METADATA_BYTES} bytes", field="Upload-Metadata")
    if not value.isascii():
        raise InvalidRequestError("keys, and Base64, are ASCII", field="Upload-Metadata")
    pairs: dict[str, str] = {}
    seen: set[str] = set()
    for part in value.split(",") if value.strip() else ():
        key, _, encoded = part.strip().partition(" ")
        if not key or key in seen:
            raise InvalidRequestError(f"key missing or given twice: {key[:40]!r}", field="Upload-Metadata")
        seen.add(key)
        text = _decoded(key, encoded.strip())
        if text is not None:
            pairs[key] = text
    return pairs


def _decoded(key: str, encoded: str) -> str | None:
    """The text of a value; None: it is something else, and may be."""
    try:
        value = base64.b64decode(encoded, validate=True)
    except ValueError as error:
        raise InvalidRequestError(f"no Base64: {key[:40]!r}", field="Upload-Metadata") from error
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        if key in _TEXT:
            raise InvalidRequestError(f"no Base64 of UTF-8: {key[:40]!r}", field="Upload-Metadata") from error
        return None


def file_name(metadata: Mapping[str, str]) -> str | None:
    """Where the uploader wants its file: `relativePath`, else `filename`, else `name`."""
    for key in _NAMES:
        if metadata.get(key, "") not in _NOTHING:
            return metadata[key]
    return None


def wants_unpacking(metadata: Mapping[str, str]) -> bool:
    """Whether the file is an archive to be unpacked.

    Raises:
        InvalidRequestError: neither yes nor no.
    """
    value = metadata.get("extract", "")
    if value not in ("", "0", "1", "false", "true"):
        raise InvalidRequestError("extract must be 1 or 0", field="Upload-Metadata")
    return value in ("1", "true")


def whole_sha256(metadata: Mapping[str, str]) -> str:
    """The SHA-256 the whole file is announced to have, in hexadecimal digits; empty if none is.

    Raises:
        InvalidRequestError: not 64 hexadecimal digits.
    """
    value = metadata.get("sha256", "")
    if value and not _SHA256.fullmatch(value):
        raise InvalidRequestError("sha256 must be 64 hexadecimal digits", field="Upload-Metadata")
    return value.lower()
