"""Looking at one directory: how many entries, and how large. Blocking."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Final, NamedTuple

#: What `st_blocks` counts in, whatever the file system's block size (POSIX stat.h, Linux).
BLOCK_BYTES: Final = 512
#: Kinds of entries in `st_mode`. `stat.S_ISDIR` and the like take a third of the time a count needs.
_KIND: Final = 0o170000
_DIRECTORY: Final = 0o040000
_REGULAR: Final = 0o100000


class Tally(NamedTuple):
    """What lies in one directory, or several."""

    entries: int = 0
    files: int = 0
    logical: int = 0
    file_bytes: int = 0
    allocated: int = 0

    def plus(self, other: Tally) -> Tally:
        """Both together."""
        return Tally(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))


class Link(NamedTuple):
    """A file of several names: its bytes count once in all of the folder."""

    device: int
    inode: int
    size_bytes: int
    blocks: int
    is_regular: bool


class Reading(NamedTuple):
    """What was seen of a directory."""

    tally: Tally
    #: The directories in it.
    names: Sequence[str]
    #: Of these the bytes are not in the tally.
    links: Sequence[Link]


def read_directory(fd: int, leave_out: str | None) -> Reading:
    """Look at everything in an open directory but one name."""
    entries = files = logical = file_bytes = blocks = 0
    names: list[str] = []
    links: list[Link] = []
    with os.scandir(fd) as scan:
        for item in scan:
            if leave_out is not None and item.name == leave_out:
                continue
            try:
                known = item.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            entries += 1
            size = known.st_size
            logical += size
            kind = known.st_mode & _KIND
            if kind == _DIRECTORY:
                names.append(item.name)
            elif known.st_nlink > 1:
                files += kind == _REGULAR
                links.append(Link(known.st_dev, known.st_ino, size, known.st_blocks, kind == _REGULAR))
                continue
            blocks += known.st_blocks
            if kind == _REGULAR:
                files += 1
                file_bytes += size
    return Reading(Tally(entries, files, logical, file_bytes, blocks * BLOCK_BYTES), names, links)
