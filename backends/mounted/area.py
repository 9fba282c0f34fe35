"""Penstock's own corner of a mounted volume: the directory `.penstock` at its root.

scopes/<32 hex>.json   what is known of a quota scope besides its directory: full id, limit, who made it
stage/<op id>          a folder being made; one rename puts it at its place
trash/<op id>          a deleted folder; emptied in the background
trash/<op id>.json     which folder it was
done/<op id>           trace of an operation that leaves no other, kept for two days
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

from backends.mounted.beneath import Beneath, opened
from backends.mounted.durable import sync_directory
from backends.mounted.errors import translated
from domain.errors import BackendFaultError, Subject

#: Name of the area at the volume's root.
AREA_NAME: Final = ".penstock"
SCOPES: Final = "scopes"
STAGE: Final = "stage"
TRASH: Final = "trash"
DONE: Final = "done"
_PLACES: Final = (SCOPES, STAGE, TRASH, DONE)
_AREA_MODE: Final = 0o700
_FILE_MODE: Final = 0o600
#: How long a trace of a done operation is kept; a command is not delivered again after that.
_TRACE_SECONDS: Final = 2 * 24 * 3600.0


class Area:
    """The volume's root and Penstock's corner of it. Blocking."""

    def __init__(self, mount: Beneath) -> None:
        self.mount = mount

    def prepare(self) -> None:
        """Make the area and forget old traces. Repeat-safe."""
        with translated(AREA_NAME, Subject.VOLUME):
            for parts in ((AREA_NAME,), *((AREA_NAME, place) for place in _PLACES)):
                with self.mount.below(parts[:-1]) as parent, suppress(FileExistsError):
                    os.mkdir(parts[-1], _AREA_MODE, dir_fd=parent.fd)
                    sync_directory(parent.fd)
            self._forget_traces()

    def try_write(self) -> None:
        """Find out whether the volume can be written."""
        with translated(AREA_NAME, Subject.VOLUME):
            self.write_json(DONE, "try", {})

    def place(self, name: str) -> Beneath:
        """Open one of the area's directories."""
        return self.mount.below((AREA_NAME, name))

    def read_json(self, place: str, name: str) -> dict[str, Any] | None:
        """Read a small file; None if it is not there."""
        with self.place(place) as directory:
            try:
                fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory.fd)
            except FileNotFoundError:
                return None
        with open(fd, encoding="utf-8") as file:
            try:
                found = json.load(file)
            except ValueError as error:
                raise BackendFaultError(f"{AREA_NAME}/{place}/{name} is no JSON", subject=Subject.VOLUME) from error
        return found if isinstance(found, dict) else None

    def write_json(self, place: str, name: str, document: Mapping[str, object]) -> None:
        """Write a small file, whole or not at all, and durable."""
        partial = f"{name}.new"
        with self.place(place) as directory:
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
            with opened(os.open(partial, flags, _FILE_MODE, dir_fd=directory.fd)) as fd:
                os.write(fd, json.dumps(document).encode())
                os.fsync(fd)
            os.rename(partial, name, src_dir_fd=directory.fd, dst_dir_fd=directory.fd)
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
        with self.place(DONE) as directory, opened(_readable(directory.fd)) as fd, os.scandir(fd) as scan:
            for item in scan:
                if item.stat(follow_symlinks=False).st_mtime < oldest:
                    with suppress(FileNotFoundError):
                        os.unlink(item.name, dir_fd=directory.fd)


def _readable(fd: int) -> int:
    return os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=fd)


def names_in(directory: Beneath) -> list[str]:
    """Names of a directory, sorted."""
    with opened(_readable(directory.fd)) as fd:
        return sorted(os.listdir(fd))
