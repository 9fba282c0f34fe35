"""Upload-Concat of tus 1.0.0 (extension concatenation): files that are uploaded in parts side by side."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from domain.errors import InvalidRequestError

#: Most parts one file is put together from.
MAX_PARTS: Final = 1000
_SESSION: Final = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Concat:
    """What a creation says of parts."""

    #: The field as it was given; HEAD repeats it.
    text: str
    #: Ids of the parts of a final upload, in order; None: this is a part itself.
    parts: tuple[str, ...] | None


def parse_concat(value: str | None) -> Concat | None:
    """Read Upload-Concat; None if it is not there.

    Raises:
        InvalidRequestError: neither `partial` nor `final` with URLs of uploads of ours.
    """
    if value is None:
        return None
    if not value.isascii():
        raise InvalidRequestError("URLs are ASCII", field="Upload-Concat")
    kind, _, urls = value.strip().partition(";")
    if kind.strip() == "partial" and not urls:
        return Concat(value, None)
    if kind.strip() != "final":
        raise InvalidRequestError("must be `partial` or `final;` and URLs", field="Upload-Concat")
    parts = tuple(_session(url) for url in urls.split())
    if not 1 <= len(parts) <= MAX_PARTS:
        raise InvalidRequestError(f"a final upload has 1 to {MAX_PARTS} parts", field="Upload-Concat")
    return Concat(value, parts)


def _session(url: str) -> str:
    """The last name of a URL, absolute or relative. Whose it is is looked at later."""
    try:
        found = urlsplit(url).path.rstrip("/").rpartition("/")[2]
    except ValueError:
        found = ""
    if not _SESSION.fullmatch(found):
        raise InvalidRequestError(f"no upload of ours: {url[:80]!r}", field="Upload-Concat")
    return found
