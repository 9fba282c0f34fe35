"""Numbers in ZIP archives, as PKWARE's APPNOTE has them: times, modes, and where 64 bits are needed."""

from __future__ import annotations

import io
import stat
import struct
import zipfile
import zlib
from datetime import UTC, datetime

import pytest

from backends.contract import EntryKind, FileStat
from domain.paths import RelativePath
from gateway.archive.manifest import Member, member_of
from gateway.archive.zip import DeflatedZip, Zip

DATA = b"0123456789"
LIMIT = 0xFFFFFFFF
Date = tuple[int, int, int, int, int, int]
FIRST: Date = (1980, 1, 1, 0, 0, 0)
LAST: Date = (2107, 12, 31, 23, 59, 58)


def file_of(size: int = len(DATA), modified: int = 0, mode: int = 0o644) -> Member:
    known = FileStat(EntryKind.FILE, size, stat.S_IFREG | mode, modified * 10**9, 0, 1)
    return member_of("é", RelativePath(("é",)), known)


def archive_of(member: Member) -> bytes:
    form, crc = Zip(), zlib.crc32(DATA[: member.size])
    data = form.head(member) + DATA[: member.size] + form.tail(member, crc)
    entry = form.entry(member, 0, crc)
    return data + entry + form.end(1, len(data), len(entry))


def read(member: Member) -> zipfile.ZipInfo:
    """What another program reads of an archive with one member."""
    with zipfile.ZipFile(io.BytesIO(archive_of(member))) as archive:
        assert archive.testzip() is None
        (info,) = archive.infolist()
        return info


def second(*date: int) -> int:
    return int(datetime(*date, tzinfo=UTC).timestamp())  # type: ignore[misc, arg-type]


@pytest.mark.parametrize(
    ("modified", "date"),
    [
        (second(2024, 2, 29, 13, 45, 58), (2024, 2, 29, 13, 45, 58)),
        (second(2024, 2, 29, 13, 45, 59), (2024, 2, 29, 13, 45, 58)),
        (second(1980, 1, 1), FIRST),
        (second(1980, 12, 31, 23, 59, 58), (1980, 12, 31, 23, 59, 58)),
        (second(1979, 12, 31, 23, 59, 59), FIRST),
        (0, FIRST),
        (-1, FIRST),
        (second(2107, 1, 2, 3, 4, 6), (2107, 1, 2, 3, 4, 6)),
        (second(2107, 12, 31, 23, 59, 59), LAST),
        (second(2108, 1, 1), LAST),
        (2**50, LAST),
    ],
)
def test_dates_are_those_of_dos_in_utc(modified: int, date: Date) -> None:
    assert read(file_of(modified=modified)).date_time == date


@pytest.mark.parametrize(
    ("modified", "is_told"), [(0, True), (2**31 - 1, True), (2**31, False), (-(2**31), True), (-(2**31) - 1, False)]
)
def test_seconds_are_told_where_thirty_two_bits_hold_them(modified: int, is_told: bool) -> None:
    expected = struct.pack("<HHBi", 0x5455, 5, 1, modified) if is_told else b""
    member = file_of(modified=modified)
    assert read(member).extra == expected
    assert Zip().head(member).endswith("é".encode() + expected)


@pytest.mark.parametrize("mode", [0o644, 0o755, 0o4711])
def test_what_is_said_of_a_file(mode: int) -> None:
    info = read(file_of(mode=mode))
    assert (info.filename, info.file_size, info.compress_size) == ("é", 10, 10)
    assert (info.create_system, info.create_version, info.extract_version) == (3, 45, 20)
    assert (info.flag_bits, info.compress_type) == (0x808, zipfile.ZIP_STORED)
    assert info.external_attr == (stat.S_IFREG | mode) << 16


def test_what_is_said_of_a_directory() -> None:
    known = FileStat(EntryKind.DIRECTORY, 4096, stat.S_IFDIR | 0o755, 0, 0, 1)
    info = read(member_of("d/", RelativePath(("d",)), known))
    assert info.is_dir()
    assert (info.file_size, info.external_attr) == (0, (stat.S_IFDIR | 0o755) << 16 | 0x10)


@pytest.mark.parametrize(
    ("size", "offset", "numbers"),
    [
        (LIMIT - 1, LIMIT - 1, b""),
        (LIMIT, 0, struct.pack("<QQ", LIMIT, LIMIT)),
        (0, LIMIT, struct.pack("<Q", LIMIT)),
        (LIMIT + 1, LIMIT + 2, struct.pack("<QQQ", LIMIT + 1, LIMIT + 1, LIMIT + 2)),
    ],
)
def test_numbers_of_a_member_that_take_64_bits(size: int, offset: int, numbers: bytes) -> None:
    member = file_of(size)
    entry, head, tail = Zip().entry(member, offset, 7), Zip().head(member), Zip().tail(member, 7)
    is_wide, told = size >= LIMIT, LIMIT if size >= LIMIT else size
    extra = struct.pack("<HH", 1, len(numbers)) + numbers if numbers else b""
    assert entry[46 + len("é".encode()) :].startswith(extra or struct.pack("<H", 0x5455))
    assert struct.unpack_from("<H", entry, 6) == (45 if numbers else 20,)
    assert struct.unpack_from("<III", entry, 16) == (7, told, told)
    assert struct.unpack_from("<I", entry, 42) == (min(offset, LIMIT),)
    assert struct.unpack_from("<H", head, 4) == (45 if is_wide else 20,)
    assert struct.unpack_from("<III", head, 14) == (0, told, told)
    assert (struct.pack("<HHQQ", 1, 16, size, size) in head) is is_wide
    assert tail == struct.pack("<IIQQ" if is_wide else "<IIII", 0x08074B50, 7, size, size)


def test_what_is_deflated_tells_its_length_behind_it() -> None:
    member = file_of()
    head = DeflatedZip().head(member)
    assert struct.unpack_from("<III", head, 14) == (0, LIMIT, LIMIT)
    assert struct.pack("<HHQQ", 1, 16, 0, 0) in head
    assert DeflatedZip().descriptor(member, 7, 5, 10) == struct.pack("<IIQQ", 0x08074B50, 7, 5, 10)


@pytest.mark.parametrize(
    ("count", "begin", "size", "is_wide"),
    [
        (0xFFFE, LIMIT - 1, LIMIT - 1, False),
        (0xFFFF, 5, 6, True),
        (1, LIMIT, 6, True),
        (1, 5, LIMIT, True),
        (0x10001, LIMIT + 1, LIMIT + 2, True),
    ],
)
def test_the_end_of_an_archive(count: int, begin: int, size: int, is_wide: bool) -> None:
    wide = struct.pack("<IQHHIIQQQQ", 0x06064B50, 44, 45, 45, 0, 0, count, count, size, begin)
    wide += struct.pack("<IIQI", 0x07064B50, 0, begin + size, 1)
    short = min(count, 0xFFFF)
    end = struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, short, short, min(size, LIMIT), min(begin, LIMIT), 0)
    assert Zip().end(count, begin, size) == (wide if is_wide else b"") + end
