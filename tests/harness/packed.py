"""Archives of all forms that are read, made for tests, and what is read of them."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import random
import tarfile
import zipfile
from collections.abc import Callable, Mapping

import zstandard
from harness.archives import tar_of

from domain.errors import InvalidRequestError, TooLargeError
from domain.paths import ROOT
from gateway.archive.unpack import UnpackLimits, check, items

LIMITS = UnpackLimits(entries=1000, total_bytes=1 << 30, ratio=1000)
NOISE = random.Random(1).randbytes(200_000)
FILES = {
    "a": b"aaa",
    "empty": b"",
    "d/" * 60 + "deep": b"deep",
    "n" * 150 + "/" + "m" * 150: NOISE,
    "한글/résumé": b"x" * 1000,
    "with\nbreak": b"1",
}
REFUSED = (InvalidRequestError, TooLargeError)


def read(data: bytes, limits: UnpackLimits = LIMITS) -> dict[str, bytes]:
    """All files of an archive, which is looked through first."""
    file = io.BytesIO(data)
    total = check(file, len(data), limits, ROOT)
    found = {
        str(item.path): b"".join(item.pieces()) for item in items(file, len(data), limits) if not item.is_directory
    }
    assert sum(map(len, found.values())) == total
    return found


def zip_of(files: Mapping[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
        archive.writestr("nothing/", b"")
    return target.getvalue()


def tar_form(form: int) -> Callable[[Mapping[str, bytes]], bytes]:
    def made(files: Mapping[str, bytes]) -> bytes:
        target = io.BytesIO()
        with tarfile.open(fileobj=target, mode="w", format=form) as archive:
            for name, data in files.items():
                info = tarfile.TarInfo(name)
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
        return target.getvalue()

    return made


def in_two(pack: Callable[[bytes], bytes]) -> Callable[[Mapping[str, bytes]], bytes]:
    """A tar archive in two compressed streams, one behind the other."""

    def made(files: Mapping[str, bytes]) -> bytes:
        data = tar_of(files)
        return pack(data[:1000]) + pack(data[1000:])

    return made


def packed_by_zstd(data: bytes) -> bytes:
    """As its own program does, with a checksum."""
    return zstandard.ZstdCompressor(write_checksum=True).compress(data)


MAKERS: dict[str, Callable[[Mapping[str, bytes]], bytes]] = {
    "gnu": tar_form(tarfile.GNU_FORMAT),
    "pax": tar_form(tarfile.PAX_FORMAT),
    "gz": in_two(gzip.compress),
    "bz2": in_two(bz2.compress),
    "xz": in_two(lzma.compress),
    "lzma": lambda files: lzma.compress(tar_of(files), lzma.FORMAT_ALONE),
    "zst": in_two(packed_by_zstd),
    "skippable zst": lambda files: (
        b"\x50\x2a\x4d\x18\4\0\0\0abcd" + zstandard.ZstdCompressor().compress(tar_of(files))
    ),
    "zip": zip_of,
    "deflated": lambda files: zip_of(files, zipfile.ZIP_DEFLATED),
    "bzip2": lambda files: zip_of(files, zipfile.ZIP_BZIP2),
    "zip lzma": lambda files: zip_of(files, zipfile.ZIP_LZMA),
}
PLAIN = ["gnu", "pax"]
#: Those of which all bytes are told by checksums; in a zip those of members are.
CHECKED = ["gz", "bz2", "xz", "zst"]
ZIPS = ["zip", "deflated", "bzip2", "zip lzma"]
