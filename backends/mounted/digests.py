"""SHA-256 digests kept with files, and how to see that they are still of the bytes there.

A digest lies in the file's extended attribute `user.penstock.sha256`, together with length and modification time of
the bytes it was made of: once either differs, it is of something else. Where a file system has no such attributes
(NFS before 4.2, some FUSE), or does not take one, it lies in Penstock's area under the file's number, so that
renaming the file does not lose it. Blocking.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

from backends.contract import FileStat
from backends.mounted.area import AREA_NAME, DIGESTS
from backends.mounted.beneath import Beneath, opened

_ATTRIBUTE: Final = "user.penstock.sha256"
_DIGEST_BYTES: Final = 32
_TEXT_BYTES: Final = 200
#: No such attributes, no room for one, or no right to set one: the file may be somebody else's.
_UNSUPPORTED: Final = (
    errno.ENOTSUP,
    errno.E2BIG,
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EPERM,
    errno.EACCES,
    errno.EROFS,
)


def keep(mount: Beneath, fd: int, sha256: bytes, of: FileStat | None = None) -> None:
    """Keep the digest of an open file's bytes. What cannot be kept is not: a digest is an extra.

    Args:
        of: the file as it was when it had those bytes; None: it has them now.
    """
    stamp = _stamp(fd) if of is None else f"{of.size_bytes} {of.modified_ns}"
    text = f"{sha256.hex()} {stamp}".encode()
    try:
        os.setxattr(fd, _ATTRIBUTE, text)
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
        with suppress(OSError):
            _keep_aside(mount, fd, text)


def kept(mount: Beneath | None, fd: int) -> bytes | None:
    """The digest of an open file's present bytes, if one was kept.

    Args:
        mount: root of the volume it lies on; None: it lies on none, and nothing is kept aside.
    """
    try:
        text = os.getxattr(fd, _ATTRIBUTE)
    except OSError as error:
        if error.errno not in (errno.ENODATA, *_UNSUPPORTED):
            raise
        text = b""
    stamp = _stamp(fd)
    found = _digest_in(text, stamp)
    if found is None and mount is not None:
        found = _digest_in(_kept_aside(mount, fd), stamp)
    return found


def _digest_in(text: bytes, stamp: str) -> bytes | None:
    """The digest that is told, if it is of bytes with that stamp."""
    digest, _, told = text.decode("ascii", "replace").partition(" ")
    if told != stamp:
        return None
    with suppress(ValueError):
        found = bytes.fromhex(digest)
        return found if len(found) == _DIGEST_BYTES else None
    return None


def _stamp(fd: int) -> str:
    known = os.fstat(fd)
    return f"{known.st_size} {known.st_mtime_ns}"


def _name(fd: int) -> tuple[str, str]:
    """Shelf and name of what is kept aside. The next file that gets the same number takes the place."""
    inode = f"{os.fstat(fd).st_ino:x}"
    return inode[-2:].zfill(2), inode


@contextmanager
def _shelf(mount: Beneath, name: str, *, make: bool) -> Iterator[int]:
    with mount.below((AREA_NAME, DIGESTS)) as place:
        if make:
            with suppress(FileExistsError):
                os.mkdir(name, 0o700, dir_fd=place.fd)
        with place.below((name,)) as shelf:
            yield shelf.fd


def _keep_aside(mount: Beneath, fd: int, text: bytes) -> None:
    shelf_name, name = _name(fd)
    with _shelf(mount, shelf_name, make=True) as shelf:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        with opened(os.open(name, flags, 0o600, dir_fd=shelf)) as aside:
            os.write(aside, text)


def _kept_aside(mount: Beneath, fd: int) -> bytes:
    shelf_name, name = _name(fd)
    try:
        with _shelf(mount, shelf_name, make=False) as shelf:
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
            with opened(os.open(name, flags, dir_fd=shelf)) as aside:
                return os.read(aside, _TEXT_BYTES)
    except (FileNotFoundError, NotADirectoryError):
        return b""
