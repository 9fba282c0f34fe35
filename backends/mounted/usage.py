"""Counting what a folder holds, in steps, so that a huge folder does not keep a thread from others.

Several threads may count the same folder; each takes whole directories.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from typing import Final

from backends.mounted.beneath import Beneath, opened
from backends.mounted.errors import translated
from backends.mounted.usage_memory import DirectoryMemory, Tally
from domain.errors import Subject
from domain.paths import ROOT, STAGING_NAME, RelativePath
from domain.usage import Usage

#: What `st_blocks` counts in, whatever the file system's block size (POSIX stat.h, Linux).
_BLOCK_BYTES: Final = 512
#: Kinds of entries in `st_mode`. `stat.S_ISDIR` and the like take a third of the time a count needs.
_KIND: Final = 0o170000
_DIRECTORY: Final = 0o040000
_REGULAR: Final = 0o100000

#: A directory that vanished, whose name something else took, or that lies deeper than any path can say.
_PASSED_OVER: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG})


class Count:
    """One walk over a folder. Never follows a link; what changes meanwhile may be counted or not.

    Args:
        staging: whether unfinished uploads count.
        memory: what an earlier count remembered of directories; those that have not changed since are not read.
    """

    def __init__(self, *, staging: bool, memory: DirectoryMemory | None = None) -> None:
        self._staging = staging
        self._memory = memory
        self._todo: list[RelativePath] = [ROOT]
        #: Directories somebody looks at just now.
        self._looked_at = 0
        self._linked: set[tuple[int, int]] = set()
        self._tallies: list[Tally] = []

    @property
    def usage(self) -> Usage:
        """What was counted so far."""
        return Usage(*(sum(column) for column in zip(*self._tallies, strict=True)))

    @property
    def is_done(self) -> bool:
        """Whether all was counted."""
        return not self._todo and not self._looked_at

    def step(self, root: Beneath, budget: int) -> bool:
        """Look at whole directories until `budget` entries are passed; False if there was none to take."""
        total, taken = Tally(), False
        with translated("counting", Subject.VFOLDER):
            while budget > 0:
                self._looked_at += 1
                try:
                    if not self._todo:
                        break
                    path = self._todo.pop()
                    taken = True
                    tally, names = self._directory(root, path)
                    self._todo.extend(RelativePath((*path.parts, name)) for name in names)
                finally:
                    self._looked_at -= 1
                total = total.plus(tally)
                budget -= 1 + tally.entries
        self._tallies.append(total)
        return taken

    def _directory(self, root: Beneath, path: RelativePath) -> tuple[Tally, Sequence[str]]:
        """Count what lies in a directory itself; returns the directories in it as well."""
        try:
            if self._memory is not None:
                # Nothing is opened here: if a link leads elsewhere, what is there is not what is remembered.
                remembered = self._memory.recall(os.stat(str(path), dir_fd=root.fd))
                if remembered is not None:
                    return remembered
            fd = root.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError as error:
            if error.errno not in _PASSED_OVER:
                raise
            return Tally(), []
        with opened(fd):
            known = os.fstat(fd)
            tally, names, linked = self._read(fd, is_root=path.is_root)
        if path.is_root:
            tally = tally.plus(Tally(allocated=known.st_blocks * _BLOCK_BYTES))
        if self._memory is not None and not linked:
            self._memory.keep(known, tally, names)
        return tally, names

    def _read(self, fd: int, *, is_root: bool) -> tuple[Tally, list[str], bool]:
        """As `_directory`, and whether there are files of several names, which count once in all of the folder."""
        entries = files = logical = file_bytes = blocks = 0
        names: list[str] = []
        linked = False
        leave_out = STAGING_NAME if is_root and not self._staging else None
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
                    linked = True
                    if not self._is_first_name(known):
                        files += kind == _REGULAR
                        continue
                blocks += known.st_blocks
                if kind == _REGULAR:
                    files += 1
                    file_bytes += size
        return Tally(entries, files, logical, file_bytes, blocks * _BLOCK_BYTES), names, linked

    def _is_first_name(self, known: os.stat_result) -> bool:
        """Whether this file was not met before under another name."""
        key = (known.st_dev, known.st_ino)
        if key in self._linked:
            return False
        self._linked.add(key)
        return True
