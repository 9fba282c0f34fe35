"""Entries of a file several processes append to at once, any of which may die while it writes.

    0x1e, then length and CRC-32 of the entry, four bytes each (little-endian), and its bytes

Behind the mark no byte is 0x1e: that is written as 0x1d 0x02, and 0x1d as 0x1d 0x01. So where the next entry
begins is seen whatever was torn before it, and nothing that follows a torn entry can make a whole one of it. What
follows a whole one, such as the zeros a power failure can leave, is passed over.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final
from zlib import crc32

_MARK: Final = b"\x1e"
_HEAD: Final = struct.Struct("<II")


def marked(entry: bytes) -> bytes:
    """An entry as it stands in a file."""
    plain = _HEAD.pack(len(entry), crc32(entry)) + entry
    return _MARK + plain.replace(b"\x1d", b"\x1d\x01").replace(_MARK, b"\x1d\x02")


def found(data: bytes) -> Iterator[tuple[bytes, int]]:
    """Whole entries in a piece of a file, each with where it ends there."""
    at = data.find(_MARK)
    while at >= 0:
        following = data.find(_MARK, at + 1)
        entry = _entry(data[at + 1 : following if following >= 0 else len(data)])
        # Only the last byte of an entry could be half there and yet be understood.
        if entry is not None and data.startswith(frame := marked(entry), at):
            yield entry, at + len(frame)
        at = following


def _entry(text: bytes) -> bytes | None:
    """What stands between two marks; None if it is no entry."""
    plain = text.replace(b"\x1d\x02", _MARK).replace(b"\x1d\x01", b"\x1d")
    if len(plain) < _HEAD.size:
        return None
    length, checksum = _HEAD.unpack_from(plain)
    entry = plain[_HEAD.size : _HEAD.size + length]
    return entry if len(entry) == length and crc32(entry) == checksum else None
