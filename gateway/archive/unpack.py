"""Reading archives users send: what is in them, and what must not be. Blocking, for threads.

An archive is looked through before a byte of it is unpacked. Refused are names that lead out, links, devices,
encrypted members, names that stand in each other's way, and more files, more bytes or a better compression than
allowed; what a member says of its length is held against what it really has. Whatever it says, only some MiB of it
are in memory: nothing of it is read whole but names, and of those only so many.
"""

from __future__ import annotations

import io
import itertools
import lzma
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any, Final

import zstandard

from domain.errors import InvalidPathError, InvalidRequestError, Subject, TooLargeError
from domain.foreign_names import read_path, sendable
from domain.paths import RelativePath
from gateway.archive.deflate import DEFLATE_ERRORS
from gateway.archive.inflow import TOO_MUCH_MEMORY, BrokenArchiveError, Read, inflow
from gateway.archive.untar import Untar, begins_tar
from gateway.archive.unzip import Unzip

_PIECE_BYTES: Final = 1 << 20
#: Archives smaller than this may be compressed as well as they like, in bytes unpacked.
_HARMLESS_BYTES: Final = 16 << 20
#: How long names may be on average, and altogether in any case.
_NAME_BYTES: Final = 1 << 10
_SOME_NAMES_BYTES: Final = 64 << 10
#: What a tar archive may have around the bytes of a member, on average, and at its end.
_AROUND_BYTES: Final = 2 << 10
_AT_END_BYTES: Final = 64 << 10
_BROKEN: Final[tuple[type[Exception], ...]] = (
    *DEFLATE_ERRORS,
    lzma.LZMAError,
    zstandard.ZstdError,
    EOFError,
    OSError,
    UnicodeError,
    ValueError,
)


@dataclass(frozen=True, slots=True)
class UnpackLimits:
    """What an archive may hold."""

    #: Files and directories, with those that have no entry of their own.
    entries: int
    total_bytes: int
    #: Bytes unpacked for each byte of the archive.
    ratio: int

    @property
    def name_bytes(self) -> int:
        """How long all names together may be."""
        return max(self.entries * _NAME_BYTES, _SOME_NAMES_BYTES)


@dataclass(frozen=True, slots=True)
class Item:
    """A file or directory in an archive."""

    path: RelativePath
    is_directory: bool
    size: int
    read: Read

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


def check(file: IO[bytes], size: int, limits: UnpackLimits, directory: RelativePath) -> int:
    """Look through an archive of so many bytes; returns how many it will unpack to.

    Args:
        directory: where it is to be unpacked.

    Raises:
        InvalidRequestError: no archive, or one with what must not be in it.
        TooLargeError: more files, directories or bytes than allowed.
    """
    total, names, name_bytes = 0, list[tuple[bytes, bool]](), 0
    for item in items(file, size, limits):
        if item.path.is_root and not item.is_directory:
            raise _refused("a file has no name")
        _below(directory, item.path)
        # NUL is in no name and before all else: what lies in a directory comes right behind it, in order of these.
        name = "\0".join(item.path.parts).encode("utf-8", "surrogateescape")
        name_bytes += len(name)
        if name_bytes > limits.name_bytes:
            raise TooLargeError(f"more than {limits.name_bytes} bytes of names", subject=Subject.UPLOAD)
        names.append((name, item.is_directory))
        total += item.size
    names.sort()
    _count_directories(names, limits)
    for (name, is_directory), (after, other) in itertools.pairwise(names):
        if name == after and not (is_directory and other):
            raise _refused(f"{_shown(name)} is there twice")
        if not is_directory and after.startswith(name + b"\0"):
            raise _refused(f"{_shown(name)} is a file, and a directory with something in it")
    return total


def _count_directories(names: Sequence[tuple[bytes, bool]], limits: UnpackLimits) -> None:
    """Count, besides what has an entry, the directories that only stand in names. Raises TooLargeError.

    Args:
        names: in their order, so that each directory is first met at the first name in it.
    """
    count, before = len(names), b""
    for name, _ in names:
        above = name.rpartition(b"\0")[0]
        while above and not before.startswith(above + b"\0"):
            count += 1
            if count > limits.entries:
                raise _too_many(limits)
            above = above.rpartition(b"\0")[0]
        before = name + b"\0"


def items(file: IO[bytes], size: int, limits: UnpackLimits) -> Iterator[Item]:
    """What is in an archive of so many bytes, in its order; each is read before the next is asked for.

    Raises:
        InvalidRequestError: no archive, or one with what must not be in it.
        TooLargeError: more files or bytes than allowed.
    """
    with _told():
        # The name of the first member may begin as other archives do.
        start = b"" if begins_tar(file) else file.read(6)
        file.seek(0)
        found = _zip(file, size, limits) if start[:2] == b"PK" else _tar(file, size, start, limits)
        total = _Total(limits, size)
        for count, item in enumerate(found, 1):
            if count > limits.entries:
                raise _too_many(limits)
            total.add(item.size)
            yield item


class _Total:
    """Bytes that come of an archive of so many bytes."""

    def __init__(self, limits: UnpackLimits, size: int, *, around: int = 0) -> None:
        self._limits = limits
        self._most = limits.total_bytes + around
        self._most_packed = max(size * limits.ratio, _HARMLESS_BYTES)
        self._bytes = 0

    def add(self, count: int) -> None:
        """Count some more. Raises TooLargeError when they are too many."""
        self._bytes += count
        if self._bytes > self._most:
            message = f"unpacks to more than {self._limits.total_bytes} bytes"
            raise TooLargeError(message, subject=Subject.UPLOAD)
        if self._bytes > self._most_packed:
            message = f"unpacks to more than {self._limits.ratio} times its size"
            raise TooLargeError(message, subject=Subject.UPLOAD)


@contextmanager
def _told() -> Iterator[None]:
    """Turn what is raised for bad bytes into our words."""
    try:
        yield
    except (InvalidRequestError, TooLargeError):
        raise
    except BrokenArchiveError as error:
        raise _refused(f"no archive that can be read: {error}") from error
    except _BROKEN as error:
        raise _refused(f"no archive that can be read: {_why(error)}") from error


def _why(error: Exception) -> str:
    """What a library has raised, in words for people where it tells that nothing is wrong with the bytes."""
    is_large = isinstance(error, lzma.LZMAError | zstandard.ZstdError) and "memory" in str(error).lower()
    return TOO_MUCH_MEMORY if is_large else type(error).__name__


def _zip(file: IO[bytes], size: int, limits: UnpackLimits) -> Iterator[Item]:
    archive = Unzip(file, size, limits.entries, limits.name_bytes)
    for entry in archive.entries():
        if entry.is_encrypted:
            raise _refused(f"{entry.text[:100]!r} is encrypted")
        if not entry.is_plain:
            raise _refused(f"{entry.text[:100]!r} is a link or device")
        path = _path(entry.text)
        if entry.is_directory:
            if entry.size:
                raise _refused(f"{entry.text[:100]!r} is a directory, and has bytes like a file")
            yield Item(path, True, 0, _nothing)
        else:
            yield Item(path, False, entry.size, archive.opened(entry))


def _tar(file: IO[bytes], size: int, start: bytes, limits: UnpackLimits) -> Iterator[Item]:
    all_of_it = _Total(limits, size, around=limits.entries * _AROUND_BYTES + _AT_END_BYTES)
    for entry in Untar(inflow(file, size, start, all_of_it.add)).entries():
        if not (entry.is_file or entry.is_directory):
            raise _refused(f"{entry.name[:100]!r} is a link or device")
        path = _path(entry.name)
        yield Item(path, entry.is_directory, entry.size if entry.is_file else 0, entry.read)


def _nothing(most: int) -> bytes:
    del most
    return b""


def _path(name: str) -> RelativePath:
    try:
        path = read_path(sendable(name))
    except InvalidPathError as error:
        raise _refused(f"{name[:100]!r} leads out, or is no name") from error
    if path.is_reserved:
        raise _refused(f"{name[:100]!r} is reserved")
    return path


def _below(directory: RelativePath, path: RelativePath) -> RelativePath:
    try:
        return directory / path
    except InvalidPathError as error:
        raise _refused(f"{str(path)[:100]!r} is too long for where it is to be") from error


def _shown(name: bytes) -> str:
    return repr(sendable(name.replace(b"\0", b"/").decode("utf-8", "surrogateescape"))[:100])


def _too_many(limits: UnpackLimits) -> TooLargeError:
    return TooLargeError(f"more than {limits.entries} files and directories", subject=Subject.UPLOAD)


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
