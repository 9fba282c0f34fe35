"""Deflate (RFC 1951) and CRC-32: by Intel's ISA-L where there is a build of it, which takes a tenth of the time.

At its highest level ISA-L packs about as well as zlib at its second lowest; what is packed while it is sent has to
keep up with the network.
"""

from __future__ import annotations

import gzip as slow_gzip
import zlib
from typing import IO, Final, Protocol

try:
    from isal import igzip, isal_zlib
except ImportError:  # neither x86-64 nor arm64
    igzip = isal_zlib = None  # type: ignore[assignment]

_ZLIB_LEVEL: Final = 6
_RAW: Final = -15
_GZIP: Final = 31

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


def deflate() -> Compressor:
    """Bare deflate, as in ZIP archives."""
    return _compressor(_RAW)


def gzip() -> Compressor:
    """The gzip format (RFC 1952), without a time."""
    return _compressor(_GZIP)


def gunzipped(file: IO[bytes]) -> IO[bytes]:
    """What is in a gzip file."""
    opened: IO[bytes] = (slow_gzip if igzip is None else igzip).open(file)
    return opened


def _compressor(window_bits: int) -> Compressor:
    if isal_zlib is None:
        return zlib.compressobj(_ZLIB_LEVEL, zlib.DEFLATED, window_bits)
    return isal_zlib.compressobj(isal_zlib.ISAL_BEST_COMPRESSION, isal_zlib.DEFLATED, window_bits)
