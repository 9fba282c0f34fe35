"""Opening and reading regular files of a folder. Blocking."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Collection, Sequence
from itertools import groupby
from typing import Final, TypeVar

from backends.contract import EntryKind, FileStat, SmallRead
from backends.descriptor import SharedDescriptor
from backends.mounted.beneath import Beneath, opened
from backends.mounted.errors import conflict, translated
from backends.mounted.helping.resolving import DIRECTORY, READ_AT_ONCE
from backends.mounted.names import file_stat
from domain.errors import BusyError
from domain.paths import RelativePath

T = TypeVar("T")

#: How often a few bytes are read again because the file was written to meanwhile.
_TRIES: Final = 5

#: What is said of sockets, and of devices there are no drivers of.
_NO_FILE: Final = (errno.ENXIO, errno.ENODEV)

#: How a file is opened that is read at once: not along a link, and never waiting for a FIFO's other end.
_SMALL_FLAGS: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_NOFOLLOW | os.O_CLOEXEC


def open_file(root: Beneath, path: RelativePath) -> tuple[SharedDescriptor, FileStat]:
    """Open a regular file for reading; never hangs on a FIFO or touches a device."""
    with translated(path):
        try:
            fd = root.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
        except OSError as error:
            if error.errno not in _NO_FILE:
                raise
            raise conflict("not-a-file", str(path)) from error
        descriptor = SharedDescriptor(fd)  # is closed, should the file not be looked at
        known = file_stat(os.fstat(fd))
        if known.kind is EntryKind.FILE:
            return descriptor, known
        descriptor.close()
        raise conflict("is-a-directory" if known.kind is EntryKind.DIRECTORY else "not-a-file", str(path))


def is_unchanged(fd: int, known: FileStat) -> bool:
    """Whether nobody has written to an open file, or changed its attributes, as far as its file system tells.

    One that has lost its name meanwhile, to another file or for good, is as whole as it was.
    """
    now = os.fstat(fd)
    if (now.st_size, now.st_mtime_ns) != (known.size_bytes, known.modified_ns):
        return False
    return now.st_ctime_ns == known.changed_ns or not now.st_nlink


def read_at_once(
    mount: Beneath, parts: Sequence[str], few: Callable[[FileStat], tuple[int, int] | None]
) -> bytes | bytearray | None:
    """Read a few bytes of a regular file without waiting for anything; None if that cannot be done.

    Names and bytes that are not in the kernel's memory are left to whoever may wait for them (openat2(2):
    RESOLVE_CACHED, preadv2(2): RWF_NOWAIT). On file systems of other hosts, opening alone may wait.
    """
    fd = mount.open_at_once(parts, READ_AT_ONCE)
    if fd is None:
        return None
    try:
        known = file_stat(os.fstat(fd))
        wanted = few(known) if known.kind is EntryKind.FILE else None
        if wanted is None:
            return None
        data = bytearray(wanted[1])
        found = os.preadv(fd, [data], wanted[0], os.RWF_NOWAIT) if data else 0
        return data if found == len(data) and is_unchanged(fd, known) else None
    except OSError:
        return None
    finally:
        os.close(fd)


def read_many(
    root: Beneath, paths: Sequence[RelativePath], max_bytes: int, then: Callable[[Sequence[SmallRead | None]], T]
) -> T:
    """Read small files whole, and do `then` with them.

    None stands for what is no regular file, is gone, is longer, or was written to while it was read.
    """
    found: list[SmallRead | None] = []
    # Most of them lie beside each other, and a name in an open directory is found in half the time of a path.
    for parts, beside in groupby(paths, lambda path: path.parts[:-1]):
        try:
            directory = root.open(RelativePath(parts), DIRECTORY)
        except OSError:
            found += [None for _ in beside]
            continue
        with opened(directory):
            found += [_read_small(directory, path, max_bytes) for path in beside]
    return then(found)


def _read_small(directory: int, path: RelativePath, max_bytes: int) -> SmallRead | None:
    try:
        fd = os.open(path.name, _SMALL_FLAGS, dir_fd=directory)
    except OSError:
        return None
    try:
        known = file_stat(os.fstat(fd))
        kind, size, _, _, _, _ = known
        if kind is not EntryKind.FILE or size > max_bytes:
            return None
        data = os.pread(fd, size, 0) if size else b""
        return (known, data) if len(data) == size and is_unchanged(fd, known) else None
    except OSError:
        with translated(path):
            raise
    finally:
        os.close(fd)


def forbidden(root: Beneath, directory: RelativePath, files: Sequence[str]) -> Collection[str]:
    """Which files of a directory may not be read.

    Those of others are opened: neither modes nor access(2) tell of access lists, and of what another host permits.
    """
    try:
        fd = root.open(directory, DIRECTORY)
    except OSError:
        return ()
    with opened(fd):
        return {name for name in files if _is_forbidden(fd, name)}


def _is_forbidden(directory: int, name: str) -> bool:
    try:
        known = os.stat(name, dir_fd=directory, follow_symlinks=False)
        if known.st_uid != os.geteuid() or not known.st_mode & stat.S_IRUSR:
            os.close(os.open(name, _SMALL_FLAGS, dir_fd=directory))
    except PermissionError:
        return True
    except OSError:
        return False  # whoever reads it comes upon that
    return False


def open_or_read(
    root: Beneath, path: RelativePath, few: Callable[[FileStat], tuple[int, int] | None]
) -> tuple[FileStat, bytes | SharedDescriptor]:
    """Open a regular file; where few bytes of it are wanted, read them, all in one state of it, and close it.

    Raises:
        BusyError: it is written to all the time.
    """
    for _ in range(_TRIES):
        descriptor, known = open_file(root, path)
        wanted = few(known)
        if wanted is None:
            return known, descriptor
        try:
            with descriptor.use() as fd, translated(path):
                data = os.pread(fd, wanted[1], wanted[0]) if wanted[1] else b""
                if is_unchanged(fd, known):
                    return known, data
        finally:
            descriptor.close()
    raise BusyError(f"{path}: is being written to", retry_after_seconds=1)
