"""Reading archives users send: what is in them, and what must not be. Blocking, for threads.

An archive is looked through before a byte of it is unpacked. Refused are names that lead out, links, devices,
encrypted members, and more files, more bytes or a better compression than allowed; what a member says of its
length is held against what it really has.
"""

from __future__ import annotations

import io
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any, Final

import zstandard

from domain.errors import InvalidPathError, InvalidRequestError, Subject, TooLargeError
from domain.paths import RelativePath
from gateway.archive.deflate import DEFLATE_ERRORS, gunzipped

_PIECE_BYTES: Final = 1 << 20
_ZIP_ENCRYPTED: Final = 0x1
#: Archives smaller than this may be compressed as well as they like, in bytes unpacked.
_HARMLESS_BYTES: Final = 16 << 20
_BROKEN: Final[tuple[type[Exception], ...]] = (
    zipfile.BadZipFile,
    tarfile.TarError,
    *DEFLATE_ERRORS,
    zstandard.ZstdError,
    EOFError,
    NotImplementedError,
    OSError,
    RuntimeError,
    UnicodeError,
    ValueError,
)


@dataclass(frozen=True, slots=True)
class UnpackLimits:
    """What an archive may hold."""

    entries: int
    total_bytes: int
    #: Bytes unpacked for each byte of the archive.
    ratio: int


@dataclass(frozen=True, slots=True)
class Item:
    """A file or directory in an archive."""

    path: RelativePath
    is_directory: bool
    size: int
    read: Callable[[int], bytes]

    def pieces(self) -> Iterator[bytes]:
        """Its bytes; exactly as many as it says.

        Raises:
            InvalidRequestError: it has more or fewer.
        """
        left = self.size
        with _told():
            while piece := self.read(min(_PIECE_BYTES, left + 1)):
                left -= len(piece)
                if left < 0:
                    break
                yield piece
        if left:
            raise _refused(f"{self.path} is not as long as it says")


def check(file: IO[bytes], size: int, limits: UnpackLimits) -> int:
    """Look through an archive; returns how many bytes it will unpack to.

    Raises:
        InvalidRequestError: no archive, or one with what must not be in it.
        TooLargeError: more files or bytes than allowed.
    """
    total, seen = 0, set[RelativePath]()
    for count, item in enumerate(items(file), 1):
        if count > limits.entries:
            raise TooLargeError(f"more than {limits.entries} entries", subject=Subject.UPLOAD)
        if not item.is_directory and item.path in seen:
            raise _refused(f"{item.path} is there twice")
        seen.add(item.path)
        total += item.size
        if total > limits.total_bytes:
            raise TooLargeError(f"unpacks to more than {limits.total_bytes} bytes", subject=Subject.UPLOAD)
        if total > max(size * limits.ratio, _HARMLESS_BYTES):
            raise TooLargeError(f"unpacks to more than {limits.ratio} times its size", subject=Subject.UPLOAD)
    return total


def items(file: IO[bytes]) -> Iterator[Item]:
    """What is in an archive, in its order; each is read before the next is asked for.

    Raises:
        InvalidRequestError: no archive, or one with what must not be in it.
    """
    file.seek(0)
    start = file.read(4)
    file.seek(0)
    with _told():
        yield from _zip(file) if start[:2] == b"PK" else _tar(file, start)


@contextmanager
def _told() -> Iterator[None]:
    """Turn what archive libraries raise for bad bytes into our words."""
    try:
        yield
    except (InvalidRequestError, TooLargeError):
        raise
    except _BROKEN as error:
        raise _refused(f"no archive that can be read: {type(error).__name__}") from error


def _zip(file: IO[bytes]) -> Iterator[Item]:
    with zipfile.ZipFile(file) as archive:
        for info in archive.infolist():
            if info.flag_bits & _ZIP_ENCRYPTED:
                raise _refused(f"{info.filename[:100]!r} is encrypted")
            kind = stat.S_IFMT(info.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _refused(f"{info.filename[:100]!r} is a link or device")
            path = _path(info.filename)
            if info.is_dir():
                yield Item(path, True, 0, lambda _: b"")
            else:
                with archive.open(info) as member:
                    yield Item(path, False, info.file_size, member.read)


def _tar(file: IO[bytes], start: bytes) -> Iterator[Item]:
    source: Any = file
    if start == b"\x28\xb5\x2f\xfd":
        source = zstandard.ZstdDecompressor(max_window_size=128 << 20).stream_reader(file, closefd=False)
    elif start[:2] == b"\x1f\x8b":
        source = gunzipped(file)
    with tarfile.open(fileobj=source, mode="r|*" if source is file else "r|") as archive:
        for info in archive:
            if not (info.isreg() or info.isdir()):
                raise _refused(f"{info.name[:100]!r} is a link or device")
            path = _path(info.name)
            if info.isdir():
                yield Item(path, True, 0, lambda _: b"")
            else:
                member = archive.extractfile(info)
                yield Item(path, False, info.size, member.read if member else lambda _: b"")


def _path(name: str) -> RelativePath:
    try:
        path = RelativePath.parse(name)
    except InvalidPathError as error:
        raise _refused(f"{name[:100]!r} leads out, or is no name") from error
    if path.is_reserved:
        raise _refused(f"{name[:100]!r} is reserved")
    return path


def _refused(reason: str) -> InvalidRequestError:
    return InvalidRequestError(f"the archive was not unpacked: {reason}", field="archive")


class ReadThrough(io.RawIOBase):
    """A file of blocking libraries whose bytes come from elsewhere.

    Args:
        read: gives up to so many bytes from an offset on.
    """

    def __init__(self, read: Callable[[int, int], bytes], size: int) -> None:
        super().__init__()
        self._read = read
        self._size = size
        self._offset = 0

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go somewhere."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._offset, io.SEEK_END: self._size}[whence]
        self._offset = max(base + offset, 0)
        return self._offset

    def tell(self) -> int:
        """Where it is."""
        return self._offset

    def readinto(self, buffer: Any) -> int:
        """Read some bytes."""
        data = self._read(self._offset, len(buffer))
        buffer[: len(data)] = data
        self._offset += len(data)
        return len(data)
