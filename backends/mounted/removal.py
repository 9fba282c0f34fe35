"""Taking files and directories of a folder into the trash. Blocking.

Entries are renamed one by one into a directory only the owner of the present epoch can reach, and that goes to
the trash when it is whole. A note is written first, so that the operation, repeated after a crash, goes on where it
was: an entry that is in the directory is not looked for again, though its name may have been given anew since.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Final

from backends.contract import Operation
from backends.mounted.area import TRASH, Area
from backends.mounted.beneath import Beneath, names_in
from backends.mounted.durable import completing, sync_between
from backends.mounted.errors import translated
from backends.mounted.names import parent_of
from backends.mounted.trash import throw_away, throw_taken_away, trash_note
from domain.errors import InvalidPathError, Subject
from domain.foreign_names import read_path
from domain.ids import VFolderId
from domain.paths import STAGING_NAME, RelativePath

#: What is not there, lies outside of the folder, or may not be taken: it stays, and is not told as removed.
_STAYS: Final = frozenset(
    {
        errno.ENOENT,
        errno.ENOTDIR,
        errno.EACCES,
        errno.EPERM,
        errno.EBUSY,
        errno.EXDEV,
        errno.ELOOP,
        errno.ENAMETOOLONG,
    }
)


@contextmanager
def _or_stays() -> Iterator[None]:
    """Take something, unless it stays."""
    try:
        yield
    except OSError as error:
        if error.errno not in _STAYS:
            raise


class Removal:
    """One operation that takes entries of one folder."""

    def __init__(self, area: Area, op: Operation, folder: VFolderId) -> None:
        self._area = area
        self._op = op
        self._folder = folder
        self._note = trash_note(op.id)
        self._taken = area.fence.path(op.epoch, f"trash.{op.id}")

    def run(self, paths: Sequence[RelativePath], *, recursive: bool) -> list[RelativePath]:
        """Take what is there of `paths`; returns which of them were."""
        with translated(self._folder, Subject.VFOLDER):
            note = self._area.read_json(TRASH, self._note)
            if note is not None and note["whole"]:
                throw_away(self._area, self._op)
                return [read_path(path) for path in note["paths"]]
            with self._area.mount.below(self._folder.directory) as root:
                if note is None:
                    self._write_note([], whole=False)
                with completing():
                    self._open_taken()
                    return self._take_these(root, paths, recursive=recursive)

    def _take_these(self, root: Beneath, paths: Sequence[RelativePath], *, recursive: bool) -> list[RelativePath]:
        removed = [path for number, path in enumerate(paths) if self._take(root, number, path, recursive=recursive)]
        if not removed:
            self._forget()
            return []
        self._write_note(removed, whole=True)
        throw_taken_away(self._area, self._op)
        return removed

    def _write_note(self, removed: Sequence[RelativePath], *, whole: bool) -> None:
        document = {"folder": str(self._folder), "paths": [str(path) for path in removed], "whole": whole}
        self._area.write_json(TRASH, self._note, document, epoch=self._op.epoch)

    def _open_taken(self) -> None:
        """Make the directory entries are taken into; after a change of owners it waits in the trash."""
        mount = self._area.mount.fd
        with self._area.fence.guarded(self._op.epoch), self._area.place(TRASH) as trash:
            try:
                os.rename(str(self._op.id), self._taken, src_dir_fd=trash.fd, dst_dir_fd=mount)
            except FileNotFoundError:
                with suppress(FileExistsError):
                    os.mkdir(self._taken, 0o700, dir_fd=mount)

    def _forget(self) -> None:
        with self._area.fence.guarded(self._op.epoch):
            os.rmdir(self._taken, dir_fd=self._area.mount.fd)
        self._area.remove(TRASH, self._note)

    def _take(self, root: Beneath, number: int, path: RelativePath, *, recursive: bool) -> bool:
        if path.is_root:
            return recursive and self._take_all(root, number)
        with _or_stays(), suppress(InvalidPathError), parent_of(root, path) as (parent, name):
            return self._take_one(parent, name, str(number), recursive=recursive)
        return False

    def _take_all(self, root: Beneath, number: int) -> bool:
        """Take everything a folder holds but unfinished uploads, and what may not be taken."""
        taken = f"{self._taken}/{number}"
        mount = self._area.mount.fd
        with self._area.fence.guarded(self._op.epoch), suppress(FileExistsError):
            os.mkdir(taken, 0o700, dir_fd=mount)
        for name in names_in(root):
            if name != STAGING_NAME:
                with _or_stays(), self._area.fence.guarded(self._op.epoch):
                    # A name that was given anew since it was taken is another entry, and stays.
                    if not self._is_taken(f"{number}/{name}"):
                        os.rename(name, f"{taken}/{name}", src_dir_fd=root.fd, dst_dir_fd=mount)
        sync_between(self._area.mount, root.fd)
        return True

    def _take_one(self, parent: int, name: str, taken: str, *, recursive: bool) -> bool:
        if self._is_taken(taken):
            return True
        if stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode) and not recursive:
            return self._take_empty(parent, name)
        with self._area.fence.guarded(self._op.epoch):
            os.rename(name, f"{self._taken}/{taken}", src_dir_fd=parent, dst_dir_fd=self._area.mount.fd)
        sync_between(self._area.mount, parent)
        return True

    def _take_empty(self, parent: int, name: str) -> bool:
        try:
            os.rmdir(name, dir_fd=parent)
        except OSError:
            return False
        sync_between(self._area.mount, parent)
        return True

    def _is_taken(self, name: str) -> bool:
        try:
            os.stat(f"{self._taken}/{name}", dir_fd=self._area.mount.fd, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return True
