"""Headers of tar archives as other programs write them, byte by byte."""

from __future__ import annotations

import io

import pytest
from harness.packed import LIMITS, read

from domain.errors import InvalidRequestError, TooLargeError
from gateway.archive.unpack import UnpackLimits, items

END = bytes(1024)
GNU = b"ustar  \0"
PACKED = b"abcde"
HOLED = b"abc" + bytes(7) + b"de" + bytes(8)


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 512)


def header(
    name: bytes, size: bytes, kind: bytes = b"0", *, magic: bytes = b"ustar\x0000", prefix: bytes = b""
) -> bytes:
    block = name.ljust(100, b"\0") + b"0000644\0" + b"0000000\0" * 2 + size.ljust(12, b"\0") + b"00000000000\0"
    block += b" " * 8 + kind + bytes(100) + magic.ljust(88, b"\0") + prefix.ljust(167, b"\0")
    return with_sum(block, sum(block))


def with_sum(block: bytes, summed: int) -> bytes:
    return block[:148] + b"%06o\0 " % summed + block[156:]


def member(name: bytes, data: bytes, kind: bytes = b"0", **more: bytes) -> bytes:
    return header(name, b"%011o\0" % len(data), kind, **more) + padded(data)


def holed(data: bytes, parts: bytes) -> bytes:
    """A file of 20 bytes with holes, as GNU tar tells it."""
    return member(b"a", data, b"S", magic=GNU, prefix=bytes(41) + parts.ljust(97, b"\0") + b"00000000024\0")


def told(kind: bytes = b"x", **fields: bytes) -> bytes:
    """A pax header; `_` stands for a dot."""
    records = b""
    for name, value in fields.items():
        record = b" %s=%s\n" % (name.replace("_", ".").encode(), value)
        length = len(record) + 2
        records += b"%d%s" % (length, record)
        assert 10 <= length < 100
    return member(b"told", records, kind)


def of_signed_bytes(name: bytes, data: bytes) -> bytes:
    block = member(name, data)
    summed = sum(byte - 256 if byte >= 128 else byte for byte in block[:148] + b" " * 8 + block[156:512])
    return with_sum(block, summed)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (header(b"a", b"\x80".ljust(11, b"\0") + b"\5") + padded(b"hello"), {"a": b"hello"}),
        (header(b"a", b"\x80".ljust(10, b"\0") + b"\2\1") + padded(b"x" * 513), {"a": b"x" * 513}),
        (header(b"a", b"         5 \0") + padded(b"hello"), {"a": b"hello"}),
        (header(b"a", b""), {"a": b""}),
        (member(b"a", b"1", b"\0", magic=b""), {"a": b"1"}),
        (member(b"a", b"1", b"7"), {"a": b"1"}),
        (of_signed_bytes(b"\xc3\xa9" * 10, b"1"), {"é" * 10: b"1"}),
        (member(b"a", b"1", prefix=b"p/q"), {"p/q/a": b"1"}),
        (member(b"a", b"1", magic=GNU, prefix=b"p/q"), {"a": b"1"}),
        (told(path=b"p/q") + member(b"a", b"1") + member(b"b", b"2"), {"p/q": b"1", "b": b"2"}),
        (told(b"X", path=b"p/q") + member(b"a", b"1"), {"p/q": b"1"}),
        (told(size=b"5") + header(b"a", b"0") + padded(b"hello"), {"a": b"hello"}),
        (told(b"g", comment=b"of all") + member(b"a", b"1"), {"a": b"1"}),
        (
            told(b"g", size=b"1") + header(b"a", b"0") + padded(b"1") + header(b"b", b"0") + padded(b"2"),
            {"a": b"1", "b": b"2"},
        ),
        (told(b"g", comment=b"of all"), {}),
        (
            told(GNU_sparse_map=b"0,3,10,2", GNU_sparse_size=b"20", GNU_sparse_name=b"b") + member(b"a", PACKED),
            {"b": HOLED},
        ),
        (told(GNU_sparse_map=b"", GNU_sparse_size=b"20") + member(b"a", b""), {"a": bytes(20)}),
        (holed(b"", b""), {"a": bytes(20)}),
        (holed(PACKED, b"%011o\0" * 4 % (0, 3, 10, 2)), {"a": HOLED}),
        (
            told(GNU_sparse_major=b"1", GNU_sparse_name=b"b", GNU_sparse_realsize=b"20")
            + member(b"a", padded(b"2\n0\n3\n10\n2\n") + PACKED),
            {"b": HOLED},
        ),
    ],
)
def test_what_headers_say_is_heeded(data: bytes, expected: dict[str, bytes]) -> None:
    assert read(data + END) == expected


def test_members_count_where_no_directory_tells_of_them() -> None:
    data = b"".join(member(name, b"1") for name in (b"a", b"b", b"c")) + END
    assert len(read(data, UnpackLimits(3, LIMITS.total_bytes, LIMITS.ratio))) == 3
    with pytest.raises(TooLargeError, match="more than 2 files"):
        read(data, UnpackLimits(2, LIMITS.total_bytes, LIMITS.ratio))


@pytest.mark.parametrize("kind", [b"0", b"\0", b"7", b"5"])
def test_a_name_that_ends_on_a_slash_is_a_directory_s(kind: bytes) -> None:
    """Also where it is said to be a file's, as GNU tar and libarchive read it."""
    data = member(b"d/", b"", kind) + member(b"d/a", b"1") + member(b"e/", b"", kind) + END
    assert read(data) == {"d/a": b"1"}
    found = [str(item.path) for item in items(io.BytesIO(data), len(data), LIMITS) if item.is_directory]
    assert found == ["d", "e"]


@pytest.mark.parametrize(
    "data",
    [
        header(b"a", b"\xff" * 12),
        header(b"a", b"8"),
        member(b"a", b"1", b"Z"),
        told(path=b"p/q"),
        told(size=b"-1") + member(b"a", b""),
        told(size=b"+1") + member(b"a", b"1"),
        told(size=b"x") + member(b"a", b""),
        member(b"d/", b"1"),
    ],
)
def test_headers_that_make_no_sense_are_refused(data: bytes) -> None:
    with pytest.raises(InvalidRequestError):
        read(data + END)
