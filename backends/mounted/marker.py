"""Which operation made a directory, written on the directory itself before it is put at its place.

The mark and the effect become visible in one rename, so after a crash a repeated command can tell its own
work from somebody else's. Kept as an extended attribute; where the file system has none, as a note of the
directory's inode number in Penstock's area, which a rename does not change either.
"""

from __future__ import annotations

import errno
import os
from typing import Final
from uuid import UUID

from backends.mounted.area import DONE, Area
from backends.mounted.mark import MARK

_NO_ATTRIBUTES: Final = frozenset({errno.ENOTSUP, errno.EPERM, errno.ENOSYS})


def mark(area: Area, fd: int, op: UUID) -> None:
    """Write the mark on an open directory."""
    try:
        os.setxattr(fd, MARK, op.bytes)
    except OSError as error:
        if error.errno not in _NO_ATTRIBUTES:
            raise
        area.write_json(DONE, str(op), {"inode": os.fstat(fd).st_ino})


def is_marked(area: Area, fd: int, op: UUID) -> bool:
    """Whether this operation made the open directory."""
    try:
        return os.getxattr(fd, MARK) == op.bytes
    except OSError as error:
        if error.errno not in _NO_ATTRIBUTES | {errno.ENODATA}:
            raise
    note = area.read_json(DONE, str(op))
    return note is not None and note.get("inode") == os.fstat(fd).st_ino
