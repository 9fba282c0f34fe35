"""Byte ranges (RFC 9110 section 14)."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

_SPEC: Final = re.compile(r"([0-9]{1,20})-([0-9]{0,20})|-([0-9]{1,20})")
#: What nearly everybody asks for.
_ONE: Final = re.compile(rf"bytes=(?:{_SPEC.pattern})")
#: Ranges one request may ask for; more are no use, and a known way to keep servers busy.
_MOST: Final = 16
#: Ranges with so many bytes or fewer between them become one: the head of another part would be longer.
_NEAR: Final = 80


@dataclass(frozen=True, slots=True)
class ByteRange:
    """Some bytes of a file; none only where one is taken apart, never where it was asked for."""

    start: int
    count: int

    @property
    def end(self) -> int:
        """Where the byte behind the last one would be."""
        return self.start + self.count

    def content_range(self, size: int) -> str:
        """Value of the Content-Range field."""
        return f"bytes {self.start}-{self.end - 1}/{size}"


class UnsatisfiableError(Exception):
    """No part of the asked-for ranges is there."""


def parse_ranges(value: str | None, size: int) -> Sequence[ByteRange] | None:
    """Read a Range field for `size` bytes; None: send them all.

    A field that is malformed, has an unknown unit or asks for too much is passed over, as section 14.2 allows.
    Ranges that overlap, or have less between them than the head of a part is long, become one (section 15.3.7.2);
    else they stay in the order they were asked for.

    Raises:
        UnsatisfiableError: well-formed, but all ranges begin behind the end.
    """
    if value is None:
        return None
    one = _ONE.fullmatch(value)
    matches = _matches(value) if one is None else [one]
    if matches is None:
        return None
    try:
        found = [part for match in matches if (part := _resolve(match, size)) is not None]
    except ValueError:
        return None
    if not found:
        raise UnsatisfiableError
    return found if len(found) == 1 else _coalesced(found, size)


def _matches(value: str) -> Sequence[re.Match[str]] | None:
    """The ranges as they are written; None if that is not how ranges are written, or too many."""
    unit, equals, specs = value.partition("=")
    if unit.strip().lower() != "bytes" or not equals:
        return None
    matches = [_SPEC.fullmatch(spec.strip()) for spec in specs.split(",") if spec.strip()]
    return [match for match in matches if match] if 1 <= len(matches) <= _MOST and None not in matches else None


def _resolve(match: re.Match[str], size: int) -> ByteRange | None:
    """One range of `size` bytes; None if it is not there. Raises ValueError if its end is before its start."""
    first, last, suffix = match.groups()
    if suffix is not None:
        count = min(int(suffix), size)
        return ByteRange(size - count, count) if count else None
    start = int(first)
    if last and int(last) < start:
        raise ValueError(match[0])
    if start >= size:
        return None
    end = min(int(last), size - 1) if last else size - 1
    return ByteRange(start, end - start + 1)


def _coalesced(parts: Sequence[ByteRange], size: int) -> Sequence[ByteRange] | None:
    """What is near each other in one; None if all together are more than there is."""
    if sum(part.count for part in parts) > size:
        return None
    ordered = sorted(parts, key=lambda part: part.start)
    if all(after.start - before.end > _NEAR for before, after in itertools.pairwise(ordered)):
        return parts
    merged = [ordered[0]]
    for part in ordered[1:]:
        last = merged[-1]
        if part.start - last.end <= _NEAR:
            merged[-1] = ByteRange(last.start, max(last.end, part.end) - last.start)
        else:
            merged.append(part)
    return merged
