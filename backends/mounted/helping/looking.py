"""Looking at one directory: how many entries, and how large. Blocking."""

from __future__ import annotations

import errno
import os

from backends.mounted.helping import fts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from backends.mounted.helping.resolving import Resolver

#: Entries, files, bytes of everything, bytes of files, bytes allocated.
Figures = tuple[int, int, int, int, int]
#: A file of several names: its device, inode, bytes and blocks, and whether it is a file at all.
Link = tuple[int, int, int, int, bool]
#: What tells a directory, as it was at one moment, from all others: device, inode, when it was modified and when
#: changed in nanoseconds.
Identity = tuple[int, int, int, int]
#: Which directory; blocks of the directory itself; what lies in it but for the bytes of files of several names; the
#: directories in it; these files.
Sight = tuple[Identity, int, tuple[Figures, list[str], list[Link]]]

#: What `st_blocks` counts in, whatever the file system's block size (POSIX stat.h, Linux).
BLOCK_BYTES = 512
#: Bits of `st_mode` that tell the kind of an entry, and two of the kinds.
#: `stat.S_ISDIR` and the like take a third of the time a count needs.
KIND = 0o170000
_DIRECTORY = 0o040000
_REGULAR = 0o100000
#: A directory that vanished, whose name something else took, or that lies deeper than any path can say.
_PASSED_OVER = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG)
#: Length of a directory up to which all in it is asked for at once. Local file systems take some 20 bytes or more
#: for each entry, the answers 300; what others tell of the length says nothing.
_AT_ONCE_BYTES = 4 << 20


def look_at(resolver: Resolver, root: int, parts: Sequence[str], leave_out: str, *, local: bool) -> Sight | None:
    """Look at everything in a directory but one name (empty: all of it); None if it is none any more.

    Args:
        local: whether its file system is of this host alone.
    """
    try:
        fd = resolver.open(root, parts, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError as error:
        if error.errno not in _PASSED_OVER:
            raise
        return None
    try:
        known = os.fstat(fd)
        identity = (known.st_dev, known.st_ino, known.st_mtime_ns, known.st_ctime_ns)
        at_once = local and known.st_size <= _AT_ONCE_BYTES and fts.can_be_used()
        return identity, known.st_blocks, (_read_at_once if at_once else _read)(fd, leave_out)
    finally:
        os.close(fd)


def _read_at_once(fd: int, leave_out: str) -> tuple[Figures, list[str], list[Link]]:
    entries = files = logical = file_bytes = blocks = 0
    names: list[str] = []
    links: list[Link] = []
    entry, status, memory = fts.ENTRY.unpack_from, fts.STATUS.unpack_from, fts.MEMORY
    with fts.Children(fd) as children:
        following = children.first
        while following:
            at = following
            following, kind, known = entry(memory, at)
            if leave_out and fts.name_of(at) == leave_out:
                continue
            nlink, size, allocated = status(memory, known)
            if kind == fts.REGULAR:
                files += 1
                if nlink == 1:
                    file_bytes += size
            elif kind in fts.DIRECTORIES:
                names.append(fts.name_of(at))
                nlink = 1
            elif kind == fts.UNKNOWN:
                _pass_over(fts.error_of(at))
                continue
            entries += 1
            logical += size
            if nlink == 1:
                blocks += allocated
            else:
                links.append((*fts.IDENTITY.unpack_from(memory, known), size, allocated, kind == fts.REGULAR))
    return (entries, files, logical, file_bytes, blocks * BLOCK_BYTES), names, links


def _pass_over(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error


def _read(fd: int, leave_out: str) -> tuple[Figures, list[str], list[Link]]:
    entries = files = logical = file_bytes = blocks = 0
    names: list[str] = []
    links: list[Link] = []
    with os.scandir(fd) as scan:
        for item in scan:
            if leave_out and item.name == leave_out:
                continue
            try:
                known = item.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            entries += 1
            size = known.st_size
            logical += size
            kind = known.st_mode & KIND
            if kind == _DIRECTORY:
                names.append(item.name)
            elif known.st_nlink > 1:
                files += kind == _REGULAR
                links.append((known.st_dev, known.st_ino, size, known.st_blocks, kind == _REGULAR))
                continue
            blocks += known.st_blocks
            if kind == _REGULAR:
                files += 1
                file_bytes += size
    return (entries, files, logical, file_bytes, blocks * BLOCK_BYTES), names, links
