"""Tar archives that are cut, damaged or lengthened: wherever it is, nothing is taken for whole that is not."""

from __future__ import annotations

import bz2
import gzip
import lzma
import tarfile
from collections.abc import Callable
from contextlib import suppress

import pytest
import zstandard
from harness.archives import tar_of
from harness.packed import CHECKED, FILES, MAKERS, NOISE, PLAIN, REFUSED, packed_by_zstd, read, tar_form

from domain.errors import InvalidRequestError, TooLargeError
from gateway.archive.unpack import UnpackLimits

PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "lzma": lambda data: lzma.compress(data, lzma.FORMAT_ALONE),
    "zst": packed_by_zstd,
}


@pytest.mark.parametrize("kind", list(PACKERS))
def test_archives_that_are_cut_where_only_zeros_follow_are_refused(kind: str) -> None:
    data = PACKERS[kind](tar_of({"a": b"1"}) + bytes(1 << 20))
    for end in range(len(data) // 2, len(data)):
        with pytest.raises(REFUSED):
            read(data[:end])


@pytest.mark.parametrize("cut", range(9))
def test_zstd_that_is_cut_is_not_taken_for_whole_whatever_stands_where_it_is_cut(cut: int) -> None:
    """Bytes that are not packed, without a checksum: what would come next could be taken for more of them."""
    data = zstandard.compress(tar_of({"a": NOISE}) + NOISE)
    with pytest.raises(InvalidRequestError):
        read(data[: len(data) - 5 * cut - 1])


@pytest.mark.parametrize("kind", CHECKED)
@pytest.mark.parametrize("padding", [0, 1 << 20])
def test_a_bit_that_is_damaged_behind_the_members_or_in_them_is_seen(kind: str, padding: int) -> None:
    files = {"a": b"aaa", "b": NOISE[:5000]}
    data, not_seen = PACKERS[kind](tar_of(files) + bytes(padding)), 0
    for at in [*range(100, len(data), 501), *range(len(data) - 12, len(data))]:
        damaged = bytearray(data)
        damaged[at] ^= 0x80
        with suppress(*REFUSED):
            assert read(bytes(damaged)) == files
            not_seen += 1
    assert not_seen <= 1, "the last byte of a stream may have bits that mean nothing"


@pytest.mark.parametrize("kind", CHECKED)
def test_what_is_behind_a_compressed_archive(kind: str) -> None:
    """Zeros fill up tapes, which those of gzip, bzip2 and xz take; nothing else belongs there."""
    data = MAKERS[kind](FILES)
    for behind in (b"something", b"\x1f", NOISE):
        with pytest.raises(InvalidRequestError):
            read(data + behind)
    if kind == "zst":
        with pytest.raises(InvalidRequestError):
            read(data + bytes(1000))
    else:
        assert read(data + bytes(100_000)) == FILES


@pytest.mark.parametrize("kind", PLAIN)
def test_what_is_behind_a_plain_archive_is_not_looked_at(kind: str) -> None:
    data = MAKERS[kind](FILES)
    assert read(data + NOISE) == FILES
    assert read(data.rstrip(b"\0") + bytes(-len(data.rstrip(b"\0")) % 512)) == FILES


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gz"])
def test_a_lone_block_of_zeros_hides_nothing(pack: Callable[[bytes], bytes]) -> None:
    first, second = tar_form(tarfile.GNU_FORMAT)({"a": b"1"})[:1024], tar_of({"b": b"2"})
    assert read(pack(first + second)) == {"a": b"1", "b": b"2"}
    assert read(pack(first + bytes(512))) == {"a": b"1"}
    with pytest.raises(InvalidRequestError, match="lone block of zeros"):
        read(pack(first + bytes(512) + second))


@pytest.mark.parametrize("kind", list(PACKERS))
def test_what_is_behind_the_members_counts(kind: str) -> None:
    data = PACKERS[kind](tar_of({"a": b"1"}) + bytes(30 << 20))
    assert len(data) < 300_000
    with pytest.raises(TooLargeError, match="times its size"):
        read(data, UnpackLimits(10, 1 << 30, 10))
    with pytest.raises(TooLargeError, match="1000 bytes"):
        read(data, UnpackLimits(10, 1000, 1 << 20))
