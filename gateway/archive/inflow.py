"""What is in compressed files: read forward, a bounded piece at a time, and counted. Blocking, for threads."""

from __future__ import annotations

import bz2
import io
import lzma
import secrets
from collections.abc import Callable
from functools import partial
from typing import IO, Any, Final, Protocol, TypeAlias

import zstandard

from gateway.archive.deflate import gunzipped

#: Packed bytes looked at in one go, and bytes passed over in one go.
_PACKED_BYTES: Final = 64 << 10
_PASSED_BYTES: Final = 256 << 10
#: Most memory that reading one archive may take for what came before, which packers tell beforehand.
WINDOW_BYTES: Final = 64 << 20
TOO_MUCH_MEMORY: Final = f"unpacking it takes more than {WINDOW_BYTES} bytes of memory"
#: What stands behind the sign of bzip2: how large its blocks are.
_BZIP2_LEVELS: Final = [b"%d" % level for level in range(1, 10)]
#: What xz needs besides.
_XZ_BYTES: Final = 4 << 20
#: What has to come of what is put behind archives of zstd. It repeats itself, so that it is packed: it does not
#: stand there as it is, and nothing but a frame of its own becomes it.
_LAST: Final = secrets.token_bytes(16) * 64
_LAST_FRAME: Final = zstandard.ZstdCompressor(write_checksum=True).compress(_LAST)

#: Gives up to so many bytes; none: it is over.
Read: TypeAlias = Callable[[int], bytes]


class BrokenArchiveError(Exception):
    """Bytes that are no archive, or not a whole one; its text tells why."""


class Inflow:
    """Bytes that come one after the other.

    Args:
        read: where they come from.
        count: told of all that come, used or not; what it raises ends it.
        passes: passes over bytes where they come from; what it passes over is counted as well.
    """

    def __init__(
        self, read: Read, count: Callable[[int], None], passes: Callable[[int], None] | None = None
    ) -> None:
        self._read = read
        self._count = count
        self._passes = passes
        #: Bytes that came.
        self.offset = 0

    def read(self, count: int) -> bytes:
        """The next bytes; fewer only at the end."""
        pieces: list[bytes] = []
        left = count
        while left and (piece := self._read(left)):
            self._came(len(piece))
            left -= len(piece)
            pieces.append(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def exactly(self, count: int) -> bytes:
        """The next bytes. Raises BrokenArchiveError if there are fewer."""
        data = self.read(count)
        if len(data) != count:
            raise BrokenArchiveError("it is cut")
        return data

    def skip(self, count: int) -> None:
        """Pass over the next bytes. Raises BrokenArchiveError if there are fewer."""
        if self._passes is not None:
            self._came(count)
            self._passes(count)
            return
        while count:
            count -= len(self.exactly(min(count, _PASSED_BYTES)))

    def drain(self) -> None:
        """Read what was compressed to its end: its checksums are told there. What was not has none."""
        while self._passes is None and self.read(_PASSED_BYTES):
            pass

    def _came(self, count: int) -> None:
        self.offset += count
        self._count(count)


def inflow(file: IO[bytes], size: int, start: bytes, count: Callable[[int], None]) -> Inflow:
    """What is in a file of so many bytes that begins with `start`: as it is, or decompressed.

    Args:
        start: nothing, if it is known to be read as it is.
    """
    if start[:3] == b"BZh" and start[3:4] in _BZIP2_LEVELS:
        return Inflow(_squeezed(file, bz2.BZ2Decompressor), count)
    if start[:6] == b"\xfd7zXZ\0" or start[:4] == b"\x5d\0\0\x80":
        xz = partial(lzma.LZMADecompressor, memlimit=WINDOW_BYTES + _XZ_BYTES)
        return Inflow(_squeezed(file, xz), count)
    if start[:2] == b"\x1f\x8b":
        return Inflow(gunzipped(file).read, count)
    if start[:4] == b"\x28\xb5\x2f\xfd" or (start[1:4] == b"\x2a\x4d\x18" and start[0] >> 4 == 5):
        return Inflow(_of_zstd(file), count)

    def passes(count: int) -> None:
        if file.tell() + count > size:
            raise BrokenArchiveError("it is cut")
        file.seek(count, io.SEEK_CUR)

    return Inflow(file.read, count, passes)


class Squeezed(Protocol):
    """Decompresses one of several streams that follow each other."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


def _squeezed(file: IO[bytes], begin: Callable[[], Squeezed]) -> Read:
    """Decompress streams that follow each other, with zeros between them, never more at once than is asked for."""
    stream = begin()

    def read(count: int) -> bytes:
        nonlocal stream
        while True:
            data = b""
            if stream.eof:
                data = _behind_zeros(file, stream.unused_data)
                if not data:
                    return b""
                stream = begin()
            elif stream.needs_input:
                data = file.read(_PACKED_BYTES)
                if not data:
                    raise BrokenArchiveError("it is cut")
            if found := stream.decompress(data, count):
                return found

    return read


def _behind_zeros(file: IO[bytes], data: bytes) -> bytes:
    while not (rest := data.lstrip(b"\0")) and (data := file.read(_PACKED_BYTES)):
        pass
    return rest


class _Lengthened:
    """A file with something behind it."""

    def __init__(self, file: IO[bytes], behind: bytes) -> None:
        self._file = file
        self._behind = behind

    def read(self, count: int = -1) -> bytes:
        """The next bytes; none at the end."""
        data = self._file.read(count)
        if not data:
            data, self._behind = self._behind, b""
        return data


def _of_zstd(file: IO[bytes]) -> Read:
    """Decompress frames that follow each other.

    The library does not tell a file that is cut from one that is over. So another frame is put behind it: of the
    former that becomes something else, or nothing.
    """
    lengthened: Any = _Lengthened(file, _LAST_FRAME)  # only ever read
    zstd = zstandard.ZstdDecompressor(max_window_size=WINDOW_BYTES)
    stream = zstd.stream_reader(lengthened, read_across_frames=True, closefd=False)
    held = b""

    def read(count: int) -> bytes:
        nonlocal held
        while data := stream.read(count):
            held += data
            found, held = held[: -len(_LAST)], held[-len(_LAST) :]
            if found:
                return found
        if held != _LAST:
            raise BrokenArchiveError("it is cut")
        return b""

    return read
