"""Entity tags and dates of files (RFC 9110 sections 8.8 and 5.6.7)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from functools import lru_cache
from typing import Final

_TAG: Final = re.compile(r'(W/)?"([\x21\x23-\x7e\x80-\xff]*)"')
#: The three forms of a date; anything else, two of them as well, is none.
_DATE: Final = re.compile(
    r"[A-Za-z]{3,9}, [0-9]{1,2}[ -][A-Za-z]{3}[ -](?:[0-9]{4}|[0-9]{2}) [0-9]{2}:[0-9]{2}:[0-9]{2} (?:GMT|UTC)"
    r"|[A-Za-z]{3} [A-Za-z]{3} [ 0-9][0-9] [0-9]{2}:[0-9]{2}:[0-9]{2} [0-9]{4}"
)
#: Dates remembered as they are written: the present one, and those of files that many ask for.
_DATES: Final = 1000


@dataclass(frozen=True, slots=True)
class EntityTag:
    """An entity tag; two strong ones with the same text mean the same bytes."""

    text: str
    weak: bool = False

    def __str__(self) -> str:
        return f'W/"{self.text}"' if self.weak else f'"{self.text}"'

    def matches_strongly(self, other: EntityTag) -> bool:
        """Strong comparison: the bytes are the same."""
        return not self.weak and not other.weak and self.text == other.text

    def matches_weakly(self, other: EntityTag) -> bool:
        """Weak comparison: either would do."""
        return self.text == other.text


def parse_tags(value: str) -> list[EntityTag] | None:
    """Read a list of entity tags; None if it is no such list."""
    tags: list[EntityTag] = []
    rest = value.strip()
    while rest:
        match = _TAG.match(rest)
        if match is None:
            return None
        tags.append(EntityTag(match[2], weak=bool(match[1])))
        rest = rest[match.end() :].lstrip()
        if rest and not rest.startswith(","):
            return None
        rest = rest.lstrip(", \t")
    return tags


def http_date(time: float) -> str:
    """Write a Unix time as IMF-fixdate, in whole seconds."""
    return _written(int(time))


@lru_cache(maxsize=_DATES)
def _written(second: int) -> str:
    return format_datetime(datetime.fromtimestamp(second, UTC), usegmt=True)


def parse_date(value: str) -> int | None:
    """Read an HTTP date as Unix seconds; None if it is none, which a recipient has to ignore."""
    if not _DATE.fullmatch(value.strip()):
        return None
    try:
        parsed = parsedate_to_datetime(value)
    except (ValueError, TypeError, OverflowError):
        return None
    if parsed.tzinfo is None:
        parsed = parsed.replace(tzinfo=UTC)
    try:
        return int(parsed.timestamp())
    except (ValueError, OverflowError):
        return None
