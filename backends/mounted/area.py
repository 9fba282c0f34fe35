"""Penstock's own corner of a mounted volume: the directory `.penstock` at its root.

scopes/<32 hex>.json   what is known of a quota scope besides its directory: full id, limit, who made it
stage.<E>/e<E>/        what the owner of epoch E makes ready; one rename puts it at its place
trash/<op id>          a deleted folder, or files deleted from one
trash/<op id>.json     which folder it was, and of files which
purging/<op id>        what is being emptied in the background, and cannot be had back any more
builds/<op id>.json    a folder that is being made by copying another one
builds/<op id>.<try>/  what was copied so far
work/<op id>.json       what a worker is to do; `.state` beside it: how far it is
quotas/<32 hex>.json   limits of a folder that has some of its own
usage/<32 hex>         what the last count of a folder remembers of its directories
done/<op id>           trace of an operation that leaves no other, kept for two days
journal/               outcomes of the last commands, see `journal.py`
outbox/                words about changes that the bus may not have yet, see `outbox.py`
arriving/              small uploads that are just getting their names, see `arrivals.py`
digests/<xx>/          digests of files, where they cannot lie with the files; see `digests.py`
lost/                  what a stopped owner left that nobody can account for; never removed by itself
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final
from uuid import uuid4

from backends.mounted.beneath import Beneath, opened, readable
from backends.mounted.durable import (
    rename_exclusive,
    replace_file,
    sync_between,
    sync_directory,
    write_and_rename,
)
from backends.mounted.errors import translated
from backends.mounted.fence import Fence
from domain.errors import BackendFaultError, Subject

#: Name of the area at the volume's root.
AREA_NAME: Final = ".penstock"
SCOPES: Final = "scopes"
TRASH: Final = "trash"
DONE: Final = "done"
LOST: Final = "lost"
JOURNAL: Final = "journal"
DIGESTS: Final = "digests"
BUILDS: Final = "builds"
PURGING: Final = "purging"
WORK: Final = "work"
USAGE: Final = "usage"
QUOTAS: Final = "quotas"
OUTBOX: Final = "outbox"
ARRIVING: Final = "arriving"
_PLACES: Final = (
    SCOPES,
    TRASH,
    PURGING,
    BUILDS,
    WORK,
    USAGE,
    QUOTAS,
    DONE,
    LOST,
    JOURNAL,
    OUTBOX,
    ARRIVING,
    DIGESTS,
)
_AREA_MODE: Final = 0o700
#: How long a trace of a done operation is kept; a command is not delivered again after that.
_TRACE_SECONDS: Final = 2 * 24 * 3600.0


class Area:
    """The volume's root and Penstock's corner of it. Blocking."""

    def __init__(self, mount: Beneath) -> None:
        self.mount = mount
        self.fence = Fence(mount, AREA_NAME)

    def prepare(self) -> None:
        """Make the area, whole or not at all, and forget old traces. Repeat-safe, also by several at once."""
        with translated(AREA_NAME, Subject.VOLUME):
            if not self._is_there():
                self._make()
            self._complete()
            self._forget_traces()

    def _complete(self) -> None:
        """Add the places an earlier release did not have."""
        with self.mount.below((AREA_NAME,)) as area:
            for place in _PLACES:
                with suppress(FileExistsError):
                    os.mkdir(place, _AREA_MODE, dir_fd=area.fd)

    def _is_there(self) -> bool:
        try:
            os.stat(AREA_NAME, dir_fd=self.mount.fd, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return True

    def _make(self) -> None:
        """A second register would be a second truth, so the area appears in one rename, with all it holds."""
        partial = f"{AREA_NAME}.{uuid4().hex}"
        os.mkdir(partial, _AREA_MODE, dir_fd=self.mount.fd)
        with self.mount.below((partial,)) as area:
            for place in _PLACES:
                os.mkdir(place, _AREA_MODE, dir_fd=area.fd)
            self.fence.furnish(area.fd)
            sync_directory(area.fd)
        try:
            rename_exclusive(self.mount.fd, partial, self.mount.fd, AREA_NAME)
        except FileExistsError:
            self._unmake(partial)
        sync_directory(self.mount.fd)

    def _unmake(self, partial: str) -> None:
        """Somebody else was first."""
        for name in ("stage.0/e0", "stage.0", *_PLACES, ""):
            os.rmdir(f"{partial}/{name}".rstrip("/"), dir_fd=self.mount.fd)

    def try_write(self) -> None:
        """Find out whether the volume can be written."""
        with translated(AREA_NAME, Subject.VOLUME):
            self.write_json(DONE, "try", {})

    def place(self, name: str) -> Beneath:
        """Open one of the area's directories."""
        return self.mount.below((AREA_NAME, name))

    def read_bytes(self, place: str, name: str) -> bytes:
        """Read a file; empty if it is not there."""
        with self.place(place) as directory:
            try:
                fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory.fd)
            except FileNotFoundError:
                return b""
        with open(fd, "rb") as file:
            return file.read()

    def write_bytes(self, place: str, name: str, data: bytes) -> None:
        """Write a file, whole or not at all; who owns the volume is not asked."""
        with self.place(place) as directory:
            replace_file(directory.fd, name, data)

    def read_json(self, place: str, name: str) -> dict[str, Any] | None:
        """Read a small file; None if it is not there."""
        data = self.read_bytes(place, name)
        if not data:
            return None
        try:
            found = json.loads(data)
        except ValueError as error:
            raise BackendFaultError(f"{AREA_NAME}/{place}/{name} is no JSON", subject=Subject.VOLUME) from error
        return found if isinstance(found, dict) else None

    def write_json(
        self,
        place: str,
        name: str,
        document: Mapping[str, object],
        *,
        epoch: int | None = None,
        more_follows: bool = False,
    ) -> None:
        """Write a small file, whole or not at all, and durable.

        Args:
            epoch: whose right to change the volume is checked; None: nobody's, for what does no harm.
            more_follows: it is one of several steps, the last of which is synced.
        """
        data = json.dumps(document).encode()
        with self.place(place) as directory:
            if epoch is None:
                _write(data, directory.fd, name, directory.fd, name)
            else:
                with self.fence.guarded(epoch):
                    _write(data, self.mount.fd, self.fence.path(epoch, name), directory.fd, name)
            if more_follows:
                sync_between(self.mount, directory.fd)
            else:
                sync_directory(directory.fd)

    def sync(self, place: str) -> None:
        """Make the names in one of the area's directories durable."""
        with self.place(place) as directory:
            sync_directory(directory.fd)

    def remove(self, place: str, name: str) -> None:
        """Remove a small file, if it is there."""
        with self.place(place) as directory, suppress(FileNotFoundError):
            os.unlink(name, dir_fd=directory.fd)

    def exists(self, place: str, name: str) -> bool:
        """Whether a name is there."""
        with self.place(place) as directory:
            try:
                os.stat(name, dir_fd=directory.fd, follow_symlinks=False)
            except FileNotFoundError:
                return False
        return True

    def _forget_traces(self) -> None:
        oldest = time.time() - _TRACE_SECONDS
        with self.place(DONE) as directory, opened(readable(directory.fd)) as fd, os.scandir(fd) as scan:
            for item in scan:
                if item.stat(follow_symlinks=False).st_mtime < oldest:
                    with suppress(FileNotFoundError):
                        os.unlink(item.name, dir_fd=directory.fd)


def _write(data: bytes, from_fd: int, path: str, to_fd: int, name: str) -> None:
    """Write a small file, whole or not at all, though others may write it at the same time.

    Each writes a file of its own first. What one that is killed in the middle leaves of it goes with old traces, or
    with the directory of its epoch.
    """
    partial = f"{path}.{uuid4().hex}.new"
    try:
        write_and_rename(data, from_fd, partial, to_fd, name)
    except OSError:
        with suppress(OSError):
            os.unlink(partial, dir_fd=from_fd)
        raise
