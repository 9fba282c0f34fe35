"""Copying small files that have nothing special about them, in as few calls as it takes. Blocking."""

from __future__ import annotations

import errno
import os
import stat
from collections import namedtuple

from backends.mounted.helping.extents import copy_range, share_all
from backends.mounted.helping.looking import BLOCK_BYTES
from backends.mounted.mark import MARK

READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
#: Length up to which a file is copied in one go.
_MOST_BYTES = 1 << 20
#: It is not what it was a moment ago, or something of an earlier attempt is there.
_NOT_SO_PLAIN = (errno.ENOENT, errno.ENOTDIR, errno.ESTALE, errno.EEXIST, errno.ELOOP, errno.ENXIO)
_NO_ATTRIBUTES = (errno.ENOTSUP, errno.EPERM, errno.ENODATA, errno.E2BIG, errno.ENOSPC, errno.ERANGE)


#: What is known of a file before it is copied: numbers but for its name, times in nanoseconds.
PlainFile = namedtuple("PlainFile", "name inode size_bytes mode uid gid accessed_ns modified_ns")


def plain(name: str, known: os.stat_result) -> PlainFile | None:
    """What has to be known of a file; None: it is large, has holes or several names, or is no file."""
    small = stat.S_ISREG(known.st_mode) and known.st_nlink == 1 and known.st_size <= _MOST_BYTES
    if not small or known.st_blocks * BLOCK_BYTES < known.st_size:
        return None
    return PlainFile(
        name,
        known.st_ino,
        known.st_size,
        known.st_mode,
        known.st_uid,
        known.st_gid,
        known.st_atime_ns,
        known.st_mtime_ns,
    )


def copy_plain(directory: int, file: PlainFile, mount: int, place: str, *, shares: bool) -> bool:
    """Copy a file of which nothing is there yet; False if it is not so plain after all.

    Args:
        directory: where it is, open.
        place: where to, as a path from the directory `mount`.
    """
    try:
        source = os.open(file.name, READ, dir_fd=directory)
        try:
            target = os.open(place, _WRITE, 0o600, dir_fd=mount)
            try:
                if not _copy_bytes(source, target, file.size_bytes, shares=shares):
                    return False
                copy_attributes(source, target)
                give(target, file.uid, file.gid, file.mode)
                os.utime(target, ns=(file.accessed_ns, file.modified_ns))
            finally:
                os.close(target)
            now = os.fstat(source)
        finally:
            os.close(source)
    except OSError as error:
        if error.errno not in _NOT_SO_PLAIN:
            raise
        return False
    return (now.st_ino, now.st_size, now.st_mtime_ns) == (file.inode, file.size_bytes, file.modified_ns)


def _copy_bytes(source: int, target: int, count: int, *, shares: bool) -> bool:
    if shares and share_all(source, target):
        return True
    done = 0
    while done < count:
        copied = copy_range(source, target, done, done, count - done)
        if not copied:
            return False  # it became shorter
        done += copied
    return True


def copy_attributes(source: int, target: int) -> None:
    """Copy extended attributes; those a file system or our rights do not allow are left out."""
    try:
        names = os.listxattr(source)
    except OSError as error:
        if error.errno not in _NO_ATTRIBUTES:
            raise
        return
    for name in names:
        if name == MARK:
            continue
        try:
            os.setxattr(target, name, os.getxattr(source, name))
        except OSError as error:
            if error.errno not in _NO_ATTRIBUTES:
                raise


def give(fd: int, uid: int, gid: int, mode: int) -> None:
    """Give a file its owner, where we may, and its permissions."""
    try:  # noqa: SIM105  `contextlib` takes long to import
        os.fchown(fd, uid, gid)
    except PermissionError:
        pass  # only the superuser gives files away
    os.fchmod(fd, stat.S_IMODE(mode))
