"""How much of an unfinished upload outlives its host's memory. Blocking.

A kill of Penstock takes nothing that was written, but a power failure takes what was not synced; and it may
leave a file with its length, and zeros in the place of its last bytes (seen on ext4, whose lengths come to the
disk while bytes are on their way). So a file remembers which start of the host its bytes are from, and how many
of them were synced: after another start only those count. Kept as an extended attribute; a file without it
counts as it is.

A sync that fails takes as much: Linux tells of it once, and the next one succeeds though the bytes are nowhere but
in memory, if there. So from then on, too, only those count that were synced before.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

from backends.mounted.boot import boot_id

#: Taken off when the upload becomes a file of the user's.
ATTRIBUTE: Final = "user.penstock.lasting"
#: The file system has no such attributes, or no room for one, or this file has none.
_WITHOUT: Final = (
    errno.ENOTSUP,
    errno.EPERM,
    errno.ENOSPC,
    errno.EDQUOT,
    errno.ERANGE,
    errno.ENODATA,
    errno.EEXIST,
)
#: Named in the place of a start of the host when a sync has failed.
_NO_START: Final = b"-"


def begin(fd: int) -> None:
    """Take note that nothing of a new file is synced yet."""
    _write(fd, 0, os.XATTR_CREATE)


def keep(fd: int, count: int) -> None:
    """Take note that so many bytes are synced; nothing, if it was not begun."""
    _write(fd, count, os.XATTR_REPLACE)


def sound(fd: int) -> int:
    """How many bytes of a file are surely those that were written."""
    boot, synced = _read(fd)
    size = os.fstat(fd).st_size
    return size if boot in (b"", boot_id()) else min(synced, size)


def sync(fd: int) -> int:
    """Sync a file; returns how many of its bytes are sound."""
    count = sound(fd)
    with syncing(fd):
        os.fsync(fd)
    if count == os.fstat(fd).st_size:
        keep(fd, count)
    return count


@contextmanager
def syncing(fd: int) -> Iterator[None]:
    """Sync a file meanwhile; if that fails, what was not synced before does not count any more."""
    try:
        yield
    except OSError:
        with suppress(OSError):
            _, synced = _read(fd)
            os.setxattr(fd, ATTRIBUTE, b"%s %d" % (_NO_START, synced), os.XATTR_REPLACE)
        raise


def settle(fd: int) -> tuple[int, int]:
    """Cut off what is not sound, so that more can be written behind it.

    Returns the size then, and how much need not be synced again.
    """
    boot, synced = _read(fd)
    size = os.fstat(fd).st_size
    if not boot:
        return size, size
    if boot != boot_id():
        size = min(synced, size)
        os.ftruncate(fd, size)
        # Without this, what is written from now on would not count.
        os.setxattr(fd, ATTRIBUTE, _note(synced), os.XATTR_REPLACE)
    return size, synced


def _write(fd: int, count: int, flags: int) -> None:
    try:
        os.setxattr(fd, ATTRIBUTE, _note(count), flags)
    except OSError as error:
        if error.errno not in _WITHOUT:
            raise


def _note(count: int) -> bytes:
    return b"%s %d" % (boot_id(), count)


def _read(fd: int) -> tuple[bytes, int]:
    """From which start of the host a file's bytes are, and how many were synced."""
    try:
        boot, _, count = os.getxattr(fd, ATTRIBUTE).partition(b" ")
    except OSError as error:
        if error.errno not in _WITHOUT:
            raise
        return b"", 0
    with suppress(ValueError):
        return boot, int(count)
    return boot, 0
