"""Deflate (RFC 1951) and CRC-32: by Intel's ISA-L where there is a build of it, which takes a tenth of the time.

At its highest level ISA-L packs about as well as zlib at its second lowest; what is packed while it is sent has to
keep up with the network.
"""

from __future__ import annotations

import gzip as slow_gzip
import zlib
from functools import lru_cache
from typing import IO, Final, Protocol

try:
    from isal import igzip, isal_zlib
except ImportError:  # neither x86-64 nor arm64
    igzip = isal_zlib = None  # type: ignore[assignment]

_ZLIB_LEVEL: Final = 6
_RAW: Final = -15
_GZIP: Final = 31
#: The polynomial of CRC-32, its bits in reverse.
_POLYNOMIAL: Final = 0xEDB88320
_CRC_BITS: Final = 32
#: Lengths remembered for which it is known what so many bytes make of a checksum before them.
_LENGTHS: Final = 64

crc32 = zlib.crc32 if isal_zlib is None else isal_zlib.crc32
#: What is raised for packed bytes that are none.
DEFLATE_ERRORS: Final[tuple[type[Exception], ...]] = (
    (zlib.error,) if isal_zlib is None else (zlib.error, isal_zlib.error)  # type: ignore[assignment]  # its stub knows no class
)


class Compressor(Protocol):
    """What takes bytes in and gives fewer back."""

    def compress(self, data: bytes, /) -> bytes:
        """Take in bytes; returns what is ready."""

    def flush(self) -> bytes:
        """The rest."""


class Decompressor(Protocol):
    """What takes packed bytes in and gives more back, only so many at a time."""

    #: Packed bytes that were given and not yet looked at.
    unconsumed_tail: bytes
    #: Whether the end was seen.
    eof: bool

    def decompress(self, data: bytes, max_length: int = 0, /) -> bytes:
        """Take in packed bytes; returns up to so many bytes of what is in them."""


def deflate() -> Compressor:
    """Bare deflate, as in ZIP archives."""
    return _compressor(_RAW)


def gzip() -> Compressor:
    """The gzip format (RFC 1952), without a time."""
    return _compressor(_GZIP)


def inflate() -> Decompressor:
    """The inverse of `deflate`."""
    made: Decompressor = (zlib if isal_zlib is None else isal_zlib).decompressobj(_RAW)
    return made


def crc32_of_both(first: int, second: int, length: int) -> int:
    """CRC-32 of bytes that follow each other, from those of the two halves and the length of the second."""
    return _times(_zeros(length), first) ^ second


@lru_cache(maxsize=_LENGTHS)
def _zeros(count: int) -> tuple[int, ...]:
    """What so many bytes of zero make of a checksum: of each of its bits.

    A bit of zero divides by the polynomial; twice as many bits do twice what half of them do.
    """
    power = (_POLYNOMIAL, *(1 << bit for bit in range(_CRC_BITS - 1)))
    made = tuple(1 << bit for bit in range(_CRC_BITS))
    bits = 8 * count
    while bits:
        if bits & 1:
            made = tuple(_times(power, row) for row in made)
        power = tuple(_times(power, row) for row in power)
        bits >>= 1
    return made


def _times(matrix: tuple[int, ...], bits: int) -> int:
    """Sum, without carrying, of the rows for which a bit is set."""
    found = row = 0
    while bits:
        if bits & 1:
            found ^= matrix[row]
        bits >>= 1
        row += 1
    return found


def gunzipped(file: IO[bytes]) -> IO[bytes]:
    """What is in a gzip file."""
    opened: IO[bytes] = (slow_gzip if igzip is None else igzip).open(file)
    return opened


def _compressor(window_bits: int) -> Compressor:
    if isal_zlib is None:
        return zlib.compressobj(_ZLIB_LEVEL, zlib.DEFLATED, window_bits)
    return isal_zlib.compressobj(isal_zlib.ISAL_BEST_COMPRESSION, isal_zlib.DEFLATED, window_bits)
