"""Making changes of names survive a crash of the machine."""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from backends.mounted.beneath import GONE, Beneath, opened
from backends.mounted.helping.resolving import DIRECTORY
from domain.paths import RelativePath

_SYNC_FILE_RANGE_WRITE: Final = 2
#: Write out, and wait for that and for what is being written out already.
_SYNC_FILE_RANGE_ALL: Final = 7
_RENAME_NOREPLACE: Final = 1
_FILE_MODE: Final = 0o600
_NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT)
_libc = ctypes.CDLL(None, use_errno=True)


@contextmanager
def completing() -> Iterator[None]:
    """Bring to its end what has begun to show.

    A storage that is full before that is a reason to refuse. After that it is a fault: what was begun has to be
    tried again until it is done, or it would be there though it was refused.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        raise OSError(errno.EIO, f"half done: {error.strerror}") from error


def sync_directory(fd: int) -> None:
    """Make the names in a directory durable. The descriptor may be one of O_PATH."""
    with completing(), opened(os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=fd)) as readable:
        try:
            os.fsync(readable)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network file systems have no such call
                raise


def sync_names_left(fd: int) -> None:
    """Make the names in a directory durable; one that somebody has removed since, being empty, has none left."""
    try:
        sync_directory(fd)
    except OSError as error:
        if error.errno not in GONE:
            raise


def sync_between(mount: Beneath, fd: int) -> None:
    """Make the names in a directory durable before the next step of several, the last of which is synced.

    Where the file system keeps the order of such steps, the last sync is for all of them.
    """
    if not mount.mounted.keeps_order:
        sync_names_left(fd)


def make_parents(root: Beneath, path: RelativePath, mode: int) -> None:
    """Make the directories a path lies in, each durable before the next; the caller syncs what it puts there."""
    there, missing = path.parent, list[RelativePath]()
    while not there.is_root and not _is_there(root, there):
        missing.append(there)
        there = there.parent
    if not missing:
        return
    fd = root.open(there, DIRECTORY)
    try:
        for directory in reversed(missing):
            deeper = _made(root, fd, directory, mode)
            os.close(fd)
            fd = deeper
    finally:
        os.close(fd)


def _is_there(root: Beneath, path: RelativePath) -> bool:
    try:
        os.close(root.open(path, DIRECTORY))
    except FileNotFoundError:
        return False
    return True


def _made(root: Beneath, parent: int, path: RelativePath, mode: int) -> int:
    """Make a directory in an open one, and open it."""
    try:
        os.mkdir(path.name, mode, dir_fd=parent)
    except FileExistsError:
        return root.open(path, DIRECTORY)  # somebody was quicker, or it is a link
    sync_between(root, parent)
    return os.open(path.name, DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)


def start_writeback(fd: int, offset: int, count: int) -> None:
    """Ask the kernel to begin writing a range to the disk, so that a later fsync has little left to do."""
    _libc.sync_file_range(
        ctypes.c_int(fd), ctypes.c_int64(offset), ctypes.c_int64(count), ctypes.c_uint(_SYNC_FILE_RANGE_WRITE)
    )


def write_out(fd: int) -> None:
    """Have all bytes of a file on their way to the disk, ahead of what the journal brings there from now on.

    They are not durable yet, but they are as soon as a change of names is that follows: where order is kept
    (`MountedAs.keeps_order`), a commit of the journal has the disk's own memory flushed before it.
    """
    if _libc.sync_file_range(
        ctypes.c_int(fd), ctypes.c_int64(0), ctypes.c_int64(0), ctypes.c_uint(_SYNC_FILE_RANGE_ALL)
    ):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def sync_file_system(fd: int) -> None:
    """Make everything durable that was written to the file system of an open file (`syncfs(2)`)."""
    if _libc.syncfs(ctypes.c_int(fd)):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def replace_file(directory_fd: int, name: str, data: bytes, mode: int = _FILE_MODE) -> None:
    """Write a small file, whole or not at all, and durable."""
    write_and_rename(data, directory_fd, f"{name}.new", directory_fd, name, mode)
    sync_directory(directory_fd)


def write_and_rename(
    data: bytes, from_fd: int, partial: str, to_fd: int, name: str, mode: int = _FILE_MODE
) -> None:
    """Write a small file in one directory and, when its bytes are durable, put it at its place in another one."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    with opened(os.open(partial, flags, mode, dir_fd=from_fd)) as fd, open(fd, "wb", closefd=False) as file:
        file.write(data)
        file.flush()
        os.fsync(fd)
    os.rename(partial, name, src_dir_fd=from_fd, dst_dir_fd=to_fd)


def rename_exclusive(source_fd: int, source: str, target_fd: int, target: str) -> None:
    """Rename, but never onto something: EEXIST instead. Atomic where the file system can do it."""
    done = _libc.renameat2(
        ctypes.c_int(source_fd),
        os.fsencode(source),
        ctypes.c_int(target_fd),
        os.fsencode(target),
        ctypes.c_uint(_RENAME_NOREPLACE),
    )
    if done == 0:
        return
    number = ctypes.get_errno()
    if number not in (errno.EINVAL, errno.ENOSYS):
        raise OSError(number, os.strerror(number))
    # NFS and some FUSE file systems have no such flag; the volume's lease keeps others away meanwhile, or what is
    # renamed is a directory that holds something, and so is what another has put there.
    try:
        os.stat(target, dir_fd=target_fd, follow_symlinks=False)
    except FileNotFoundError:
        try:
            os.rename(source, target, src_dir_fd=source_fd, dst_dir_fd=target_fd)
        except OSError as error:
            if error.errno != errno.ENOTEMPTY:
                raise
        else:
            return
    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
