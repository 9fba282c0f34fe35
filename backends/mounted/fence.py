"""Which owner may change a mounted volume: the fence against one that was stopped and goes on too late.

    .penstock/stage.<E>/e<E>/

The name of the directory `stage.<E>` is the register of the volume's epoch. Taking over is one rename of it to a
greater number; of several that try, one succeeds. Then the old owner's inner directory is emptied and removed, and
one of the new epoch made. Every change of folders becomes visible by one rename out of or into the inner directory,
*by its path*: a stale owner's path leads nowhere, and one that was looked up just before ends in a removed
directory. So the volume itself remembers its epoch, whatever Redis forgets. Blocking.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final
from uuid import uuid4

from backends.mounted.beneath import Beneath, names_in, stale_as_gone
from backends.mounted.durable import rename_exclusive, sync_directory
from domain.errors import BackendFaultError, FencedError, Subject

#: Where things on their way come from or go to, by the first part of their name.
_HOMES: Final = {"trash": "trash", "build": "builds"}
_REGISTER: Final = re.compile(r"stage\.(\d{1,18})")
_MODE: Final = 0o700
#: Tries to see or move a register that others move at the same time.
_MAX_RACES: Final = 64


class Fence:
    """The register of one volume's epoch, below Penstock's area."""

    def __init__(self, mount: Beneath, area: str) -> None:
        self._mount = mount
        self._area = area

    @staticmethod
    def furnish(area_fd: int) -> None:
        """Make the register of an area that nobody can see yet."""
        os.mkdir("stage.0", _MODE, dir_fd=area_fd)
        os.mkdir("stage.0/e0", _MODE, dir_fd=area_fd)

    def epoch(self) -> int:
        """Epoch of the last owner; 0 if there never was one."""
        for _ in range(_MAX_RACES):
            with self._mount.below((self._area,)) as area:
                found = [int(match[1]) for name in names_in(area) if (match := _REGISTER.fullmatch(name))]
            if found:  # a listing that meets a rename may show neither name
                return max(found)
        raise BackendFaultError(f"{self._area} has no register of its epoch", subject=Subject.VOLUME)

    def take_over(self, epoch: int) -> None:
        """Make `epoch` the only one that may change the volume.

        Raises:
            FencedError: the volume has seen this epoch or a later one.
        """
        with self._mount.below((self._area,)) as area:
            for _ in range(_MAX_RACES):
                present = self.epoch()
                if present >= epoch:
                    raise FencedError(f"the volume is at epoch {present}, not before {epoch}")
                with suppress(FileNotFoundError):
                    os.rename(f"stage.{present}", f"stage.{epoch}", src_dir_fd=area.fd, dst_dir_fd=area.fd)
                    break
            else:
                raise FencedError("others take the volume over all the time")
            sync_directory(area.fd)
            with self.guarded(epoch):
                self._clear(area, epoch)

    def _clear(self, area: Beneath, epoch: int) -> None:
        with area.below((f"stage.{epoch}",)) as stage:
            for name in names_in(stage):
                # A later owner may have made its own already: then it is us who are late.
                if int(name.removeprefix("e")) < epoch:
                    self._evict(area, stage, name)
            os.mkdir(f"e{epoch}", _MODE, dir_fd=stage.fd)
            sync_directory(stage.fd)

    def _evict(self, area: Beneath, stage: Beneath, name: str) -> None:
        """Remove an old owner's directory; what its last breath puts in meanwhile is put away as well."""
        for _ in range(_MAX_RACES):
            try:
                with stale_as_gone(), stage.below((name,)) as old:
                    for entry in names_in(old):
                        self._put_away(area, old, entry)
                os.rmdir(name, dir_fd=stage.fd)
            except FileNotFoundError:
                return  # one that took over before us, and lost it to us, has just done the same
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
            else:
                return
        raise FencedError("the last owner does not stop changing the volume")

    @staticmethod
    def _put_away(area: Beneath, old: Beneath, entry: str) -> None:
        """Files and empty directories were not yet anything; what has a home in the area goes there.

        That is a folder on its way into the trash, and a copied one on its way to its place.
        """
        kind, _, rest = entry.partition(".")
        with suppress(FileNotFoundError):
            if kind in _HOMES:
                with area.below((_HOMES[kind],)) as home:
                    os.rename(entry, rest, src_dir_fd=old.fd, dst_dir_fd=home.fd)
                    sync_directory(home.fd)
                return
            try:
                os.unlink(entry, dir_fd=old.fd)
            except (IsADirectoryError, PermissionError):
                _remove_or_keep(area, old, entry)

    def path(self, epoch: int, name: str) -> str:
        """Path from the volume's root of something this epoch's owner makes ready."""
        return f"{self._area}/stage.{epoch}/e{epoch}/{name}"

    @contextmanager
    def guarded(self, epoch: int) -> Iterator[None]:
        """Tell an owner whose path leads nowhere that it is no longer the owner.

        Raises:
            FencedError: the volume went to another owner.
        """
        try:
            with stale_as_gone():
                yield
        except FileNotFoundError as error:
            present = self.epoch()
            if present != epoch:
                raise FencedError(f"the volume is at epoch {present}, not {epoch}") from error
            raise


def _remove_or_keep(area: Beneath, old: Beneath, entry: str) -> None:
    """An empty directory goes; one that holds something is never destroyed, whoever put it there."""
    try:
        os.rmdir(entry, dir_fd=old.fd)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        with area.below(("lost",)) as lost:
            rename_exclusive(old.fd, entry, lost.fd, f"{uuid4()}.{entry}")
