"""What was seen of one directory; see `helping/looking.py` for how."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


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
