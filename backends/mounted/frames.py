"""Entries one behind the other in a file that may end in the middle of one.

An entry is its length and CRC-32, four bytes each (little-endian), and its bytes, of which there are some. One can
be torn or damaged, or nothing but the zeros a power failure can leave: where only one process writes, nothing whole
follows; where several do, the next whole one has to be looked for.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Iterator
from typing import Final
from zlib import crc32

_HEAD: Final = struct.Struct("<II")
_SOMETHING: Final = re.compile(rb"[^\0]")


def framed(entries: Iterable[bytes]) -> bytes:
    """Entries as they stand in a file."""
    return b"".join(_HEAD.pack(len(entry), crc32(entry)) + entry for entry in entries)


def frames(data: bytes) -> Iterator[bytes]:
    """Entries of a file's contents, up to the first one that is not whole."""
    at = 0
    while (entry := _whole(data, at)) is not None:
        yield entry
        at += _HEAD.size + len(entry)


def scattered(data: bytes) -> Iterator[tuple[bytes, int]]:
    """Whole entries of a file's contents, each with where it ends, whatever is between them."""
    at = 0
    while at + _HEAD.size <= len(data):
        entry = _whole(data, at)
        if entry is None:
            at = _next_place(data, at + 1)
        else:
            at += _HEAD.size + len(entry)
            yield entry, at


def _whole(data: bytes, at: int) -> bytes | None:
    """The entry that begins at a place; None if there is none, or not all of it."""
    if at + _HEAD.size > len(data):
        return None
    length, checksum = _HEAD.unpack_from(data, at)
    entry = data[at + _HEAD.size : at + _HEAD.size + length]
    return entry if length and len(entry) == length and crc32(entry) == checksum else None


def _next_place(data: bytes, at: int) -> int:
    """Where the next entry can begin at the earliest: of its length at least one byte is not zero."""
    match = _SOMETHING.search(data, at)
    return max(at, match.start() - 3) if match else len(data)
