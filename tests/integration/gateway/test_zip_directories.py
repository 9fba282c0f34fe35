"""Directories of zip archives: what they say in rare ways is heeded, and what cannot be is refused."""

from __future__ import annotations

import io
import lzma
import struct
import zipfile
import zlib
from collections.abc import Callable

import pytest
from harness.packed import LIMITS, MAKERS, NOISE, read, zip_of

from domain.errors import InvalidRequestError, TooLargeError
from gateway.archive.unpack import UnpackLimits

FILES = {"a": b"aaa", "bb": b"2"}
#: Where things are in an entry of a directory, and in its end.
SYSTEM, FLAGS, METHOD, CRC, PACKED = 5, 8, 10, 16, 20
NAME_LENGTH, EXTRA_LENGTH, OFFSET, ENTRY_BYTES = 28, 30, 42, 46
COUNTS, LENGTH, BEGIN = 8, 12, 16
ALL = b"\xff" * 4


def entry_of(data: bytes, name: bytes) -> int:
    """Where the directory tells of a member."""
    at = data.index(b"PK\1\2")
    while data[at + ENTRY_BYTES :][: len(name)] != name:
        at = data.index(b"PK\1\2", at + 1)
    return at


def end_of(data: bytes) -> int:
    return data.rindex(b"PK\5\6")


def put(data: bytes, at: int, new: bytes) -> bytes:
    return data[:at] + new + data[at + len(new) :]


def with_wide(data: bytes, name: bytes, fields: int, numbers: bytes, *, before: bytes = b"") -> bytes:
    """A zip that tells numbers of a member in 64 bits, as many as there are.

    Args:
        fields: where the numbers of 32 bits are that they stand for.
        before: another extra field.
    """
    at, extra = entry_of(data, name), before + struct.pack("<HH", 1, len(numbers)) + numbers
    for field in (OFFSET, PACKED, PACKED + 4)[:fields]:
        data = put(data, at + field, ALL)
    data = put(data, at + EXTRA_LENGTH, struct.pack("<H", len(extra)))
    behind = at + ENTRY_BYTES + len(name)
    data = data[:behind] + extra + data[behind:]
    end = end_of(data)
    length = int.from_bytes(data[end + LENGTH : end + BEGIN], "little")
    return put(data, end + LENGTH, struct.pack("<I", length + len(extra)))


def numbers_of(data: bytes, name: bytes) -> tuple[int, int, int]:
    """A member's length, packed length and offset."""
    at = entry_of(data, name)
    packed, size = struct.unpack_from("<II", data, at + PACKED)
    return size, packed, *struct.unpack_from("<I", data, at + OFFSET)


@pytest.mark.parametrize("before", [b"", b"UT\5\0\1abcd"])
@pytest.mark.parametrize("kind", ["zip", "deflated"])
def test_numbers_of_members_in_64_bits(kind: str, before: bytes) -> None:
    data = MAKERS[kind]({"a": NOISE[:3000] * 2, "bb": b"2"})
    size, packed, offset = numbers_of(data, b"a")
    all_of_it = with_wide(data, b"a", 3, struct.pack("<QQQ", size, packed, offset), before=before)
    only_place = with_wide(data, b"bb", 1, struct.pack("<Q", numbers_of(data, b"bb")[2]), before=before)
    for made in (all_of_it, only_place):
        assert read(made) == {"a": NOISE[:3000] * 2, "bb": b"2"}


@pytest.mark.parametrize("numbers", [b"", bytes(7), bytes(8), bytes(23)])
def test_a_number_in_64_bits_that_is_not_there(numbers: bytes) -> None:
    with pytest.raises(InvalidRequestError, match="a number is missing"):
        read(with_wide(zip_of(FILES), b"a", 3, numbers))


def test_comments_and_what_heads_have_besides_are_passed_over() -> None:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name, content in FILES.items():
            info = zipfile.ZipInfo(name)
            info.comment, info.extra = b"of " + name.encode(), b"UT\5\0\1abcd"
            archive.writestr(info, content)
        archive.comment = b"x" * 0xFFFF
    assert read(target.getvalue()) == FILES


@pytest.mark.parametrize(("system", "name"), [(3, "é"), (19, "é"), (0, "├⌐"), (7, "├⌐")])
def test_whose_names_are_utf8_where_none_says_so(system: int, name: str) -> None:
    """Those written on Unix and macOS."""
    written = zip_of({"??": b"1"}).replace(b"??", b"\xc3\xa9")
    assert read(put(written, written.index(b"PK\1\2") + SYSTEM, bytes([system]))) == {name: b"1"}


@pytest.mark.parametrize("field", [b"", b"\1", bytes(4)])
def test_a_name_told_once_more_that_is_cut_is_passed_over(field: bytes) -> None:
    info, target = zipfile.ZipInfo("a"), io.BytesIO()
    info.extra = struct.pack("<HH", 0x7075, len(field)) + field
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr(info, b"1")
    assert read(target.getvalue()) == {"a": b"1"}


def at_end(at: int, new: bytes) -> Callable[[bytes], bytes]:
    return lambda data: put(data, end_of(data) + at, new)


def in_entry(name: bytes, at: int, new: bytes) -> Callable[[bytes], bytes]:
    return lambda data: put(data, entry_of(data, name) + at, new)


def in_head(at: int, new: bytes) -> Callable[[bytes], bytes]:
    return lambda data: put(data, at, new)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (at_end(0, b"PK\5\7"), "has no end"),
        (lambda data: data[:-1], "has no end"),
        (at_end(LENGTH, struct.pack("<I", 1 << 20)), "does not lie in it"),
        (at_end(BEGIN, struct.pack("<I", 1 << 20)), "does not lie in it"),
        (at_end(COUNTS, struct.pack("<HH", 2, 2)), "not as many entries"),
        (in_entry(b"bb", 0, b"PK\1\3"), "something else in it"),
        (in_entry(b"bb", NAME_LENGTH, b"\x03\0"), "something else in it"),
        (in_entry(b"nothing/", EXTRA_LENGTH, b"\1\0"), "longer than it says"),
        (in_entry(b"nothing/", NAME_LENGTH, ALL[:2]), "it is cut"),
        (in_entry(b"bb", OFFSET, struct.pack("<I", 1 << 20)), "members that are not there"),
        (in_entry(b"bb", OFFSET, struct.pack("<I", 1)), "members that are not there"),
        (in_entry(b"bb", FLAGS, b"\1"), "'bb' is encrypted"),
        (in_entry(b"bb", METHOD, struct.pack("<H", 9)), r"packed in a way \(number 9\)"),
        (in_head(0, b"PK\3\5"), "members that are not there"),
        (in_head(30, b"b"), "members that are not there"),
        (in_head(6, b"\1"), "its members are encrypted"),
        (in_head(31, b"x"), "a member is damaged"),
    ],
)
def test_what_cannot_be_so_is_refused(change: Callable[[bytes], bytes], reason: str) -> None:
    with pytest.raises(InvalidRequestError, match=reason):
        read(change(zip_of(FILES)))


def test_entries_count_whatever_their_number_is_said_to_be() -> None:
    data = put(zip_of(FILES), end_of(zip_of(FILES)) + COUNTS, struct.pack("<HH", 1, 1))
    with pytest.raises(TooLargeError, match="more than 2 entries"):
        read(data, UnpackLimits(2, LIMITS.total_bytes, LIMITS.ratio))


@pytest.mark.parametrize("kind", ["zip", "deflated", "bzip2", "zip lzma"])
@pytest.mark.parametrize("packed", [0, 4, 12])
def test_a_member_that_is_packed_into_fewer_bytes_than_it_takes(kind: str, packed: int) -> None:
    data = MAKERS[kind]({"a": NOISE[:100]})
    with pytest.raises(InvalidRequestError):
        read(in_entry(b"a", PACKED, struct.pack("<I", packed))(data))


@pytest.mark.parametrize(("context", "place", "position"), [(3, 0, 2), (1, 2, 0), (0, 4, 4), (4, 0, 1)])
def test_all_ways_in_which_lzma_packs(context: int, place: int, position: int) -> None:
    how = {"lc": context, "lp": place, "pb": position}
    coder = {"id": lzma.FILTER_LZMA1, "dict_size": 1 << 16, **how}
    packed = lzma.compress(NOISE[:5000] * 2, lzma.FORMAT_RAW, filters=[coder])
    head = struct.pack("<BBHBI", 9, 20, 5, (position * 5 + place) * 9 + context, 1 << 16)
    made = zip_of({"a": head + packed})
    at, method = entry_of(made, b"a"), struct.pack("<H", 14)
    made = put(made, at + METHOD, method)
    made = put(made, at + CRC, struct.pack("<I", zlib.crc32(NOISE[:5000] * 2)))
    made = put(made, at + PACKED + 4, struct.pack("<I", 10_000))
    assert read(made) == {"a": NOISE[:5000] * 2}


def test_as_much_memory_as_lzma_takes_at_its_best() -> None:
    made = bytearray(MAKERS["zip lzma"](FILES))
    at = made.index(b"\x09\x04\5\0")
    made[at + 5 : at + 9] = struct.pack("<I", 64 << 20)
    assert read(bytes(made)) == FILES
