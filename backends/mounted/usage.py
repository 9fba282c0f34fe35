"""Counting what a folder holds, in steps, so that a huge folder does not keep a thread from others.

Several may count the same folder, threads and other processes; each takes whole directories.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from typing import Final

from backends.mounted.beneath import Beneath
from backends.mounted.errors import translated
from backends.mounted.helping.looking import BLOCK_BYTES, Figures, Link, Sight, look_at
from backends.mounted.usage_memory import DirectoryMemory
from domain.errors import Subject
from domain.paths import ROOT, STAGING_NAME, RelativePath
from domain.usage import Usage

#: Directories a thread takes at once; to recall one takes less than to take one.
_FEW: Final = 32
#: Entries counted, or directories still to look at, with which other processes are worth their start.
_LARGE: Final = 5000
_MANY: Final = 1000


class Count:
    """One walk over a folder. Never follows a link; what changes meanwhile may be counted or not.

    Args:
        staging: whether unfinished uploads count.
        memory: what an earlier count remembered of directories; those that have not changed since are not read.
    """

    def __init__(self, *, staging: bool, memory: DirectoryMemory | None = None) -> None:
        self._staging = staging
        self._memory = memory
        self._lock = threading.Lock()
        self._todo: list[RelativePath] = [ROOT]
        #: Directories somebody looks at just now.
        self._looked_at = 0
        self._is_stopped = False
        self._linked: set[tuple[int, int]] = set()
        #: As figures of a directory.
        self._sums = [0, 0, 0, 0, 0]

    @property
    def usage(self) -> Usage:
        """What was counted so far."""
        return Usage(*self._sums)

    @property
    def is_done(self) -> bool:
        """Whether all was counted."""
        with self._lock:
            return (self._is_stopped or not self._todo) and not self._looked_at

    @property
    def is_large(self) -> bool:
        """Whether there is much of it that nobody remembers, so that others are worth their start."""
        remembers = self._memory is not None and self._memory.remembers
        return not remembers and (self._sums[0] >= _LARGE or len(self._todo) >= _MANY)

    def leaves_out(self, path: RelativePath) -> str:
        """Name of what does not count in a directory; empty: all of it does."""
        return STAGING_NAME if path.is_root and not self._staging else ""

    def take(self, most: int) -> list[RelativePath]:
        """Directories to look at, no more than half of them; each has to be given to `add` or `put_back` once."""
        with self._lock:
            if self._is_stopped:
                return []
            most = min(most, (len(self._todo) + 1) // 2)
            taken = self._todo[len(self._todo) - most :]
            del self._todo[len(self._todo) - most :]
            self._looked_at += most
        return taken

    def put_back(self, paths: Sequence[RelativePath]) -> None:
        """Leave directories that were taken to others."""
        with self._lock:
            self._looked_at -= len(paths)
            self._todo.extend(paths)

    def add(self, path: RelativePath, sight: Sight | None) -> int:
        """Take in what was seen of a directory that was taken; tells how many entries that were."""
        with self._lock:
            self._looked_at -= 1
            if sight is None:
                return 0
            known, blocks, (figures, names, links) = sight
            if path.is_root:
                figures = _plus(figures, blocks=blocks)
            if links:
                figures = self._with_links(figures, links)
            elif self._memory is not None:
                self._memory.keep(known, figures, names)
            return self._count(path, figures, names)

    def stop(self) -> None:
        """Have no more directories looked at."""
        with self._lock:
            self._is_stopped = True

    def step(self, root: Beneath, budget: int) -> bool:
        """Look at whole directories until `budget` entries are passed; False if there was none to take."""
        taken = False
        with translated("counting", Subject.VFOLDER):
            while budget > 0 and (paths := self.take(_FEW)):
                taken = True
                budget -= self._look(root, paths, budget)
        return taken

    def _look(self, root: Beneath, paths: list[RelativePath], budget: int) -> int:
        """Look at some of the directories, and put the others back; tells how many entries were passed."""
        done = passed = 0
        recalled: list[tuple[RelativePath, Figures, Sequence[str]]] = []
        try:
            for path in paths:
                remembered = self._recalled(root, path)
                if remembered is not None:
                    recalled.append((path, *remembered))
                    passed += 1 + remembered[0][0]
                elif passed < budget:
                    passed += 1 + self._look_anew(root, path)
                else:
                    break
                done += 1
        finally:
            self._put_together(recalled)
            self.put_back(paths[done:])
        return passed

    def _look_anew(self, root: Beneath, path: RelativePath) -> int:
        local = root.mounted.is_local
        sight = look_at(root.resolver, root.fd, path.parts, self.leaves_out(path), local=local)
        return self.add(path, sight)

    def _put_together(self, recalled: Sequence[tuple[RelativePath, Figures, Sequence[str]]]) -> None:
        with self._lock:
            self._looked_at -= len(recalled)
            for path, figures, names in recalled:
                self._count(path, figures, names)

    def _recalled(self, root: Beneath, path: RelativePath) -> tuple[Figures, Sequence[str]] | None:
        """What is remembered of a directory, if it has not changed."""
        if self._memory is None:
            return None
        try:
            # Nothing is opened here: if a link leads elsewhere, what is there is not what is remembered.
            return self._memory.recall(os.stat(str(path), dir_fd=root.fd))
        except OSError:
            return None

    def _with_links(self, figures: Figures, links: Sequence[Link]) -> Figures:
        """What counts of a directory, with the bytes of files of several names where they are met first."""
        for device, inode, size, blocks, is_regular in links:
            if (device, inode) not in self._linked:
                self._linked.add((device, inode))
                figures = _plus(figures, file_bytes=size if is_regular else 0, blocks=blocks)
        return figures

    def _count(self, path: RelativePath, figures: Figures, names: Sequence[str]) -> int:
        sums = self._sums
        for place, figure in enumerate(figures):
            sums[place] += figure
        if names:
            above = path.parts
            self._todo.extend([RelativePath((*above, name)) for name in names])
        return figures[0]


def _plus(figures: Figures, *, file_bytes: int = 0, blocks: int) -> Figures:
    entries, files, logical, bytes_of_files, allocated = figures
    return entries, files, logical, bytes_of_files + file_bytes, allocated + blocks * BLOCK_BYTES
