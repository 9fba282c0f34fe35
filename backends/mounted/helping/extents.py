"""Copying bytes between files of one volume inside the kernel, or without moving them at all. Blocking."""

from __future__ import annotations

import errno
import fcntl
import os

#: ioctl of file systems that share extents between files (XFS with reflink, btrfs, some network file systems).
_FICLONE = 0x40049409
#: Bytes copied by one call; bounds how long a thread is taken.
_COPY_BYTES = 64 << 20
_READ_BYTES = 4 << 20
_NO_SUCH_CALL = (errno.ENOSYS, errno.EXDEV, errno.EINVAL, errno.EOPNOTSUPP, errno.EPERM)


def share_all(source: int, target: int) -> bool:
    """Make an empty file share all bytes of another; False if this file system cannot, or cannot now.

    ZFS refuses bytes that are not on the disk yet (EAGAIN).
    """
    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError as error:
        if error.errno in (errno.ENOTTY, errno.EAGAIN, *_NO_SUCH_CALL):
            return False
        raise
    return True


def copy_range(source: int, target: int, from_offset: int, to_offset: int, count: int) -> int:
    """Copy up to `count` bytes; returns how many, fewer than asked for only at a limit or at the source's end."""
    count = min(count, _COPY_BYTES)
    try:
        return os.copy_file_range(source, target, count, from_offset, to_offset)
    except OSError as error:
        if error.errno not in _NO_SUCH_CALL:
            raise
    data = os.pread(source, min(count, _READ_BYTES), from_offset)
    return os.pwrite(target, data, to_offset)
