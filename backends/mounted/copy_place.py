"""Where a tree is copied to: a directory of its own, in which an earlier attempt may have left something."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection
from contextlib import suppress
from typing import Final

from backends.mounted.beneath import Beneath, opened
from domain.paths import RelativePath

_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_NEW_FILE: Final = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class CopyPlace:
    """A place on a mount; nobody else changes anything there. Places in it are told as paths from the mount's root.

    Args:
        target: which one, as a path from `mount`'s root.
    """

    def __init__(self, mount: Beneath, target: str) -> None:
        self.mount = mount
        self.fd = mount.fd
        self._target = target

    def of(self, path: RelativePath) -> str:
        """The place of an entry of the tree."""
        return self._target if path.is_root else f"{self._target}/{path}"

    def within(self, place: str) -> str:
        """What entry of the tree a place is of."""
        return place.removeprefix(f"{self._target}/")

    def must_be_there(self) -> None:
        """Raise FileNotFoundError if the whole of it is gone, as it is when this is not ours any more."""
        os.close(os.open(self._target, os.O_PATH | os.O_DIRECTORY, dir_fd=self.fd))

    def look(self, place: str) -> os.stat_result:
        """Look at a place; a link is looked at itself."""
        return os.stat(place, dir_fd=self.fd, follow_symlinks=False)

    def open_directory(self, place: str) -> int:
        """Open a directory that is no link."""
        return os.open(place, _DIRECTORY, dir_fd=self.fd)

    def new_file(self, place: str) -> int:
        """Make a file that only we may read, and open it."""
        return os.open(place, _NEW_FILE, 0o600, dir_fd=self.fd)

    def make_directory(self, path: RelativePath, names: Collection[str]) -> bool:
        """Make a directory, or find the one of an earlier attempt, and take out of it what has gone since.

        Returns whether it is new, so that nothing can be in it.
        """
        place = self.of(path)
        try:
            os.mkdir(place, 0o700, dir_fd=self.fd)
        except FileExistsError:
            if not stat.S_ISDIR(self.look(place).st_mode):
                os.unlink(place, dir_fd=self.fd)
                os.mkdir(place, 0o700, dir_fd=self.fd)
                return True
            os.chmod(place, 0o700, dir_fd=self.fd)  # it may have got its own permissions already
            for gone in set(self._names(place)).difference(names):
                self.clear(f"{place}/{gone}")
            return False
        return True

    def link(self, place: str, leads_to: str, known: os.stat_result) -> None:
        """Make a symbolic link, with the owner and the times of the one that is known."""
        self.clear(place)
        os.symlink(leads_to, place, dir_fd=self.fd)
        with suppress(OSError):  # only the superuser gives files away
            os.chown(place, known.st_uid, known.st_gid, dir_fd=self.fd, follow_symlinks=False)
        os.utime(place, ns=(known.st_atime_ns, known.st_mtime_ns), dir_fd=self.fd, follow_symlinks=False)

    def add_name(self, first: str, place: str) -> bool:
        """Give a file that was copied before another name; False if it could not be copied after all."""
        try:
            known = self.look(first).st_ino
        except FileNotFoundError:
            return False
        try:
            if self.look(place).st_ino == known:
                return True
            self.clear(place)
        except FileNotFoundError:
            pass
        os.link(first, place, src_dir_fd=self.fd, dst_dir_fd=self.fd)
        return True

    def clear(self, place: str) -> None:
        """Make room for what an earlier attempt began, or what was something else then."""
        try:
            os.unlink(place, dir_fd=self.fd)
        except FileNotFoundError:
            return
        except IsADirectoryError:
            for name in self._names(place):
                self.clear(f"{place}/{name}")
            os.rmdir(place, dir_fd=self.fd)

    def _names(self, place: str) -> list[str]:
        with opened(self.open_directory(place)) as fd:
            return os.listdir(fd)
