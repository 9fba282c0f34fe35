"""Blocking: many small files put at their places, made durable together.

A file by itself is two syncs and four turns of a thread. Of many, all bytes are on their way to the disk before the
first of them is waited for, and their names are synced a directory at a time, or once where the file system keeps
the order of such steps.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import ExitStack, suppress

from backends.contract import SmallFile
from backends.mounted.beneath import Beneath, opened
from backends.mounted.durable import make_parents, start_writeback, sync_between, sync_names_left
from backends.mounted.errors import translated
from backends.mounted.helping.resolving import DIRECTORY
from backends.mounted.names import DIRECTORY_MODE, MAX_RACES, refuse_root, refuse_staging
from backends.mounted.staging import FILE_MODE, drop_area, existing_area, in_area, part_names, put_in_place, write
from domain.errors import Subject
from domain.paths import RelativePath

_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC


def store_many(root: Beneath, session: str, files: Sequence[SmallFile]) -> list[int | None]:
    """Put files at their places; tells how many bytes each replaced (None: nothing was there)."""
    names = part_names(session, len(files))
    with translated(session, Subject.UPLOAD):
        try:
            in_area(root, lambda area: _write_all(area, zip(names, files, strict=True)))
            return _place_all(root, names, [file.path for file in files])
        except BaseException:
            _remove(root, names)
            raise
        finally:
            drop_area(root)


def _write_all(area: Beneath, files: Iterable[tuple[str, SmallFile]]) -> None:
    with ExitStack() as stack:
        written = []
        for name, file in files:
            fd = stack.enter_context(opened(os.open(name, _FLAGS, FILE_MODE, dir_fd=area.fd)))
            write(fd, [file.data], 0)
            start_writeback(fd, 0, len(file.data))
            written.append(fd)
        for fd in written:
            os.fsync(fd)


def _place_all(root: Beneath, names: Sequence[str], paths: Sequence[RelativePath]) -> list[int | None]:
    replaced: list[int | None] = []
    place = _Place(root)
    with existing_area(root) as area:
        try:
            for name, path in zip(names, paths, strict=True):
                with translated(path):
                    replaced.append(place.put(area.fd, name, path))
        finally:
            place.close()
    return replaced


class _Place:
    """The directory files are put into just now; files of an archive come directory by directory."""

    def __init__(self, root: Beneath) -> None:
        self._root = root
        self._path: RelativePath | None = None
        self._fd = -1

    def put(self, area: int, name: str, path: RelativePath) -> int | None:
        """Give a file its name, as `put_in_place`; its directory is made if it is not there, or was removed."""
        left = MAX_RACES
        while True:
            try:
                return put_in_place(area, name, self._directory_of(path), path)
            except FileNotFoundError:
                left -= 1
                if not left:
                    raise
            self._leave(last=False)

    def _directory_of(self, path: RelativePath) -> int:
        refuse_root(path)
        if path.parent != self._path:
            self._leave(last=False)
            make_parents(self._root, path, DIRECTORY_MODE)
            self._fd = self._root.open(path.parent, DIRECTORY)
            self._path = path.parent
            refuse_staging(self._root, self._fd, path)
        return self._fd

    def close(self) -> None:
        """Make what was put there durable."""
        self._leave(last=True)

    def _leave(self, *, last: bool) -> None:
        if self._path is None:
            return
        fd, self._path = self._fd, None
        with opened(fd):
            if last:
                sync_names_left(fd)
            else:
                sync_between(self._root, fd)


def _remove(root: Beneath, names: Sequence[str]) -> None:
    with suppress(OSError), existing_area(root) as area:
        for name in names:
            with suppress(OSError):
                os.unlink(name, dir_fd=area.fd)
