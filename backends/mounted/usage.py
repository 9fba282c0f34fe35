"""Counting what a folder holds, in steps, so that a huge folder does not keep a thread from others."""

from __future__ import annotations

import errno
import os
import stat
from typing import Final

from backends.mounted.beneath import Beneath
from backends.mounted.errors import translated
from domain.errors import Subject
from domain.paths import ROOT, STAGING_NAME, RelativePath
from domain.usage import Usage

#: What `st_blocks` counts in, whatever the file system's block size (POSIX stat.h, Linux).
_BLOCK_BYTES: Final = 512


#: A directory that vanished, whose name something else took, or that lies deeper than any path can say.
_PASSED_OVER: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG})


class Count:
    """One walk over a folder. Never follows a link; what changes meanwhile may be counted or not."""

    def __init__(self, *, staging: bool) -> None:
        self._staging = staging
        self._todo: list[RelativePath] | None = None
        self._linked: set[tuple[int, int]] = set()
        self._entries = self._files = self._logical = self._file_bytes = self._allocated = 0

    @property
    def usage(self) -> Usage:
        """What was counted so far."""
        return Usage(self._entries, self._files, self._logical, self._file_bytes, self._allocated)

    def step(self, root: Beneath, budget: int) -> bool:
        """Look at whole directories until `budget` entries are passed; True when done."""
        with translated("counting", Subject.VFOLDER):
            if self._todo is None:
                self._todo = [ROOT]
                self._allocated += os.fstat(root.fd).st_blocks * _BLOCK_BYTES
            while self._todo and budget > 0:
                budget -= self._directory(root, self._todo.pop(), self._todo)
        return not self._todo

    def _directory(self, root: Beneath, path: RelativePath, todo: list[RelativePath]) -> int:
        try:
            fd = root.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError as error:
            if error.errno not in _PASSED_OVER:
                raise
            return 1
        seen = 1
        try:
            with os.scandir(fd) as scan:
                for item in scan:
                    seen += 1
                    if path.is_root and not self._staging and item.name == STAGING_NAME:
                        continue
                    try:
                        known = item.stat(follow_symlinks=False)
                    except FileNotFoundError:
                        continue
                    self._add(known)
                    if stat.S_ISDIR(known.st_mode):
                        todo.append(RelativePath((*path.parts, item.name)))
        finally:
            os.close(fd)
        return seen

    def _add(self, known: os.stat_result) -> None:
        self._entries += 1
        self._logical += known.st_size
        first = self._is_first_name(known)
        if first:
            self._allocated += known.st_blocks * _BLOCK_BYTES
        if stat.S_ISREG(known.st_mode):
            self._files += 1
            self._file_bytes += known.st_size if first else 0

    def _is_first_name(self, known: os.stat_result) -> bool:
        """Whether this file was not met before under another name."""
        if known.st_nlink < 2 or stat.S_ISDIR(known.st_mode):
            return True
        key = (known.st_dev, known.st_ino)
        if key in self._linked:
            return False
        self._linked.add(key)
        return True
