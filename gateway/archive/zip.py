"""The ZIP format (PKWARE APPNOTE 6.3.10), members stored as they are or deflated, with ZIP64 where it is needed.

Lengths stand in local headers, checksums behind the bytes (data descriptor), so that a stored archive's layout is
known before one byte was read.
"""

from __future__ import annotations

import struct
import time
from functools import lru_cache
from typing import Final

from backends.contract import EntryKind
from gateway.archive.manifest import Member

_STORED, _DEFLATED = 0, 8
_LIMIT: Final = 0xFFFFFFFF
_COUNT_LIMIT: Final = 0xFFFF
_HEAD, _HEAD_SIGN = struct.Struct("<IHHHHHIIIHH"), 0x04034B50
_ENTRY, _ENTRY_SIGN = struct.Struct("<IHHHHHHIIIHHHHHII"), 0x02014B50
#: Times remembered as they are written: files of a directory were often made in the same seconds.
_TIMES: Final = 1000
#: Bit 3: a data descriptor follows. Bit 11: names are UTF-8.
_FLAGS: Final = 0x0808
_UNIX: Final = 3 << 8
_ZIP64_VERSION: Final = 45
_VERSION: Final = 20
#: First and last moment DOS can tell, in its own coding.
_DOS_FIRST: Final = (33, 0)
_DOS_LAST: Final = (0xFF9F, 0xBF7D)


class Zip:
    """Members stored as they are; what is deflated is told its length afterwards."""

    media_type = "application/zip"
    needs_crc = True
    method = _STORED

    def head(self, member: Member) -> bytes:
        """The local header before a member's bytes."""
        name, wide = _name(member), self._is_wide(member)
        known = member.size if self.method == _STORED else 0
        clock, date, extra = _times(member.modified)
        if wide:
            extra = struct.pack("<HHQQ", 1, 16, known, known) + extra
        short, version = (_LIMIT, _ZIP64_VERSION) if wide else (known, _VERSION)
        length = len(name)
        return _HEAD.pack(
            _HEAD_SIGN, version, _FLAGS, self.method, clock, date, 0, short, short, length, len(extra)
        ) + (name + extra)

    def lengths(self, member: Member, offset: int) -> tuple[int, int, int]:
        """Lengths of the local header, the data descriptor and the entry of the central directory."""
        _, _, extra = _times(member.modified)
        named = len(_name(member)) + len(extra)
        if self._is_wide(member):
            return _HEAD.size + named + 20, 24, _ENTRY.size + named + (28 if offset >= _LIMIT else 20)
        return _HEAD.size + named, 16, _ENTRY.size + named + (12 if offset >= _LIMIT else 0)

    def tail(self, member: Member, crc: int) -> bytes:
        """The data descriptor behind a member's bytes."""
        return self.descriptor(member, crc, member.size, member.size)

    def descriptor(self, member: Member, crc: int, compressed: int, size: int) -> bytes:
        """A data descriptor."""
        form = "<IIQQ" if self._is_wide(member) else "<IIII"
        return struct.pack(form, 0x08074B50, crc, compressed, size)

    def entry(self, member: Member, offset: int, crc: int) -> bytes:
        """What the central directory says of a member whose header is at `offset`."""
        return self.central(member, offset, crc, member.size, member.size)

    def central(self, member: Member, offset: int, crc: int, compressed: int, size: int) -> bytes:
        """An entry of the central directory."""
        name, wide = _name(member), self._is_wide(member)
        numbers = b""
        if wide:
            numbers += struct.pack("<QQ", size, compressed)
            size = compressed = _LIMIT
        if offset >= _LIMIT:
            numbers += struct.pack("<Q", offset)
            offset = _LIMIT
        clock, date, extra = _times(member.modified)
        version = _VERSION
        if numbers:
            extra = struct.pack("<HH", 1, len(numbers)) + numbers + extra
            version = _ZIP64_VERSION
        kind, _, mode, _, _, _ = member.stat
        attributes = (mode & 0xFFFF) << 16 | (0x10 if kind is EntryKind.DIRECTORY else 0)
        return (
            _ENTRY.pack(
                _ENTRY_SIGN,
                _UNIX | _ZIP64_VERSION,
                version,
                _FLAGS,
                self.method,
                clock,
                date,
                crc,
                compressed,
                size,
                len(name),
                len(extra),
                0,
                0,
                0,
                attributes,
                offset,
            )
            + name
            + extra
        )

    def end(self, count: int, begin: int, size: int) -> bytes:
        """The end of the central directory, which has `count` entries and lies at `begin`."""
        wide = b""
        if count >= _COUNT_LIMIT or begin >= _LIMIT or size >= _LIMIT:
            wide = struct.pack(
                "<IQHHIIQQQQ", 0x06064B50, 44, _ZIP64_VERSION, _ZIP64_VERSION, 0, 0, count, count, size, begin
            ) + struct.pack("<IIQI", 0x07064B50, 0, begin + size, 1)
        short = min(count, _COUNT_LIMIT)
        return wide + struct.pack(
            "<IHHHHIIH", 0x06054B50, 0, 0, short, short, min(size, _LIMIT), min(begin, _LIMIT), 0
        )

    def _is_wide(self, member: Member) -> bool:
        """Whether lengths are told in 64 bits; of what is deflated nobody knows before."""
        return member.size >= _LIMIT or self.method == _DEFLATED


class DeflatedZip(Zip):
    """Members deflated while they are sent."""

    method = _DEFLATED


def _name(member: Member) -> bytes:
    return member.name.encode("utf-8", "surrogateescape")


@lru_cache(maxsize=_TIMES)
def _times(modified: int) -> tuple[int, int, bytes]:
    """The last change: time and date in DOS's coding, and as extended timestamp, where 32 bits hold it."""
    fits = -(1 << 31) <= modified < 1 << 31
    return *_dos_time(modified), struct.pack("<HHBi", 0x5455, 5, 1, modified) if fits else b""


def _dos_time(modified: int) -> tuple[int, int]:
    """Time and date in DOS's coding, in UTC."""
    try:
        found = time.gmtime(modified)
    except (OverflowError, ValueError, OSError):
        return 0, _DOS_FIRST[0]
    if found.tm_year < 1980:
        return 0, _DOS_FIRST[0]
    if found.tm_year > 2107:
        return _DOS_LAST[1], _DOS_LAST[0]
    date = (found.tm_year - 1980) << 9 | found.tm_mon << 5 | found.tm_mday
    return found.tm_hour << 11 | found.tm_min << 5 | found.tm_sec // 2, date
