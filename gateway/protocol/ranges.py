"""Byte ranges (RFC 9110 section 14)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_SPEC: Final = re.compile(r"([0-9]{1,20})-([0-9]{0,20})|-([0-9]{1,20})")


@dataclass(frozen=True, slots=True)
class ByteRange:
    """Some bytes of a file; never empty."""

    start: int
    count: int

    def content_range(self, size: int) -> str:
        """Value of the Content-Range field."""
        return f"bytes {self.start}-{self.start + self.count - 1}/{size}"


class UnsatisfiableError(Exception):
    """No part of the asked-for range is there."""


def parse_range(value: str | None, size: int) -> ByteRange | None:
    """Read a Range field for a file of `size` bytes; None: send the whole file.

    A field that is malformed, has an unknown unit or asks for several ranges is passed over, as section 14.2
    allows.

    Raises:
        UnsatisfiableError: a well-formed range that begins behind the end.
    """
    unit, equals, spec = (value or "").partition("=")
    match = _SPEC.fullmatch(spec.strip())
    if unit.strip().lower() != "bytes" or not equals or match is None:
        return None
    first, last, suffix = match.groups()
    if suffix is not None:
        count = min(int(suffix), size)
        if count == 0:
            raise UnsatisfiableError
        return ByteRange(size - count, count)
    start = int(first)
    if last and int(last) < start:
        return None
    if start >= size:
        raise UnsatisfiableError
    end = min(int(last), size - 1) if last else size - 1
    return ByteRange(start, end - start + 1)
