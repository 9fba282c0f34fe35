"""Entries one behind the other in a file that may end in the middle of one.

An entry is its length and CRC-32, four bytes each (little-endian), and its bytes, of which there are some.
Reading ends at the first one that is torn or damaged, or nothing but the zeros a power failure can leave.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import Final
from zlib import crc32

_HEAD: Final = struct.Struct("<II")


def framed(entries: Iterable[bytes]) -> bytes:
    """Entries as they stand in a file."""
    return b"".join(_HEAD.pack(len(entry), crc32(entry)) + entry for entry in entries)


def frames(data: bytes) -> Iterator[bytes]:
    """Whole entries of a file's contents."""
    at = 0
    while at + _HEAD.size <= len(data):
        length, checksum = _HEAD.unpack_from(data, at)
        entry = data[at + _HEAD.size : at + _HEAD.size + length]
        if not length or len(entry) != length or crc32(entry) != checksum:
            return
        yield entry
        at += _HEAD.size + length
