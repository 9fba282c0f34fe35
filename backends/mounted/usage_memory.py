"""What a count remembers of directories, so that the next one need not read those that have not changed.

A directory has changed when a name in it was added, removed or replaced: its own times say so. They say nothing of
a file that was written in place, so a count that trusts this memory is right about everything that came through
Penstock, and what was changed on a mount in place is seen by the next count that does without it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Final

import msgpack

from backends.mounted.helping.looking import Figures, Identity

#: Directories of one folder remembered at most; some 100 bytes each.
_MOST: Final = 200_000
#: A directory younger than this may change again without its times telling, in nanoseconds.
_SETTLED_NS: Final = 2_000_000_000
_VERSION: Final = 1


class DirectoryMemory:
    """Directories of one folder.

    Args:
        data: what `dump` gave; empty: nothing is remembered.
        now_ns: when the count begins (Unix time in nanoseconds).
    """

    def __init__(self, data: bytes, now_ns: int) -> None:
        self._settled = now_ns - _SETTLED_NS
        self._known = _load(data)
        self._next: dict[int, tuple[Any, ...]] = {}
        #: Whether all that is remembered is what was remembered before.
        self._same = True

    @property
    def is_same(self) -> bool:
        """Whether nothing new is remembered, and nothing is forgotten."""
        return self._same and len(self._next) == len(self._known)

    @property
    def remembers(self) -> bool:
        """Whether anything was remembered before."""
        return bool(self._known)

    def recall(self, known: os.stat_result) -> tuple[Figures, Sequence[str]] | None:
        """What lies in a directory, and which directories are among it; None: it has to be looked at."""
        found = self._known.get(known.st_ino)
        if found is None or found[:3] != (known.st_dev, known.st_mtime_ns, known.st_ctime_ns):
            return None
        self._next[known.st_ino] = found
        return found[3], found[4]

    def keep(self, known: Identity, figures: Figures, names: Sequence[str]) -> None:
        """Remember what lies in a directory."""
        device, inode, modified_ns, changed_ns = known
        if max(modified_ns, changed_ns) < self._settled and len(self._next) < _MOST:
            self._next[inode] = (device, modified_ns, changed_ns, figures, names)
            self._same = False

    def dump(self) -> bytes:
        """What was kept, for the next count; what was not met again is forgotten."""
        rows = [(inode, *row) for inode, row in self._next.items()]
        return bytes(msgpack.packb((_VERSION, rows), unicode_errors="surrogateescape"))


def _load(data: bytes) -> dict[int, tuple[Any, ...]]:
    if not data:
        return {}
    try:
        version, rows = msgpack.unpackb(data, use_list=False, unicode_errors="surrogateescape")
        return {row[0]: row[1:] for row in rows} if version == _VERSION else {}
    except (ValueError, TypeError, msgpack.UnpackException):
        return {}  # it only saves time
