"""Making, deleting and finding folders on a mounted volume.

A folder appears and disappears in one rename, out of and into what the owner of the present epoch makes ready; both
keep the operation's id, so a repetition after a crash finds its own traces. Blocking.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Final
from uuid import UUID

from backends.contract import Operation
from backends.mounted.area import QUOTAS, Area
from backends.mounted.beneath import Beneath, names_in, opened, readable
from backends.mounted.durable import make_parents, rename_exclusive, sync_between, sync_directory
from backends.mounted.errors import conflict, missing, translated
from backends.mounted.marker import is_marked, mark
from backends.mounted.names import DIRECTORY_MODE
from backends.mounted.scopes import Scopes
from domain.errors import BackendUnavailableError, InvalidRequestError, Subject
from domain.ids import QuotaScopeId, VFolderId
from domain.paths import RelativePath
from domain.usage import Quota

#: Tries to put a folder into a directory that the deletion of its last neighbour takes away meanwhile.
_MAX_RACES: Final = 16
#: Entries one step of a purge removes.
_PURGE_STEP: Final = 2000
_TWO: Final = re.compile(r"[0-9a-f]{2}")
_REST: Final = re.compile(r"[0-9a-f]{28}")


class Folders:
    """The folders of one mounted volume."""

    def __init__(self, area: Area, scopes: Scopes) -> None:
        self._area = area
        self._scopes = scopes

    def create(self, op: Operation, folder: VFolderId, mode: int) -> None:
        """Make an empty folder in an existing scope."""
        if folder.scope is None:
            raise InvalidRequestError("a new folder needs a quota scope", field="vfid")
        with translated(folder, Subject.VFOLDER):
            if not self._scopes.exists(folder.scope):
                raise missing(str(folder.scope), Subject.QUOTA_SCOPE)
            if not self.made_before(op, folder):
                self._stage(op, mode)
                self.place(op, f"new.{op.id}", folder)

    def place(self, op: Operation, staged: str, folder: VFolderId) -> None:
        """Put a directory this epoch's owner has made ready at a folder's place.

        Raises:
            ConflictError: something is there.
            FencedError: the volume went to another owner.
        """
        for _ in range(_MAX_RACES):
            if self._place(op, staged, folder):
                return
        raise BackendUnavailableError("the folder's directory keeps vanishing", subject=Subject.VFOLDER)

    def made_before(self, op: Operation, folder: VFolderId) -> bool:
        """Whether this operation has made the folder already; if so, it is durable.

        Raises:
            ConflictError: somebody else has.
        """
        try:
            place = self._area.mount.below(folder.directory)
        except FileNotFoundError:
            return False
        with place:
            is_ours = self._is_marked(place, op)
        if is_ours:
            with self._area.mount.below(RelativePath(folder.directory).parent.parts) as parent:
                sync_directory(parent.fd)  # that may be what failed before
            return True
        raise conflict("exists", str(folder), Subject.VFOLDER)

    def _is_marked(self, place: Beneath, op: Operation) -> bool:
        # Attributes cannot be read through an O_PATH descriptor.
        with opened(readable(place.fd)) as fd:
            return is_marked(self._area, fd, op.id)

    def _stage(self, op: Operation, mode: int) -> None:
        root, path = self._area.mount.fd, self._area.fence.path(op.epoch, f"new.{op.id}")
        with self._area.fence.guarded(op.epoch):
            with suppress(FileExistsError):
                os.mkdir(path, dir_fd=root)
            fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=root)
        with opened(fd):
            mark(self._area, fd, op.id)
            os.fchmod(fd, mode)
            sync_between(self._area.mount, fd)

    def _place(self, op: Operation, name: str, folder: VFolderId) -> bool:
        """Rename the staged folder to its place; False if its parent vanished meanwhile."""
        mount, path = self._area.mount, RelativePath(folder.directory)
        staged = self._area.fence.path(op.epoch, name)
        try:
            with self._area.fence.guarded(op.epoch):
                make_parents(mount, path, DIRECTORY_MODE)
                with mount.directory(path.parent) as parent:
                    rename_exclusive(mount.fd, staged, parent, path.name)
                    sync_directory(parent)
        except FileNotFoundError:
            return False
        except FileExistsError as error:
            raise conflict("exists", str(folder), Subject.VFOLDER) from error
        return True

    def set_limits(self, op: Operation, folder: VFolderId, limit_bytes: int | None, soft_bytes: int | None) -> None:
        """Set or remove the limits of a folder."""
        with translated(folder, Subject.VFOLDER):
            self._area.mount.below(folder.directory).close()
            if limit_bytes is None and soft_bytes is None:
                self._area.remove(QUOTAS, quota_note(folder))
                return
            document = {"folder": str(folder), "limit_bytes": limit_bytes, "soft_bytes": soft_bytes}
            self._area.write_json(QUOTAS, quota_note(folder), document, epoch=op.epoch)

    def limits(self, folder: VFolderId) -> Quota:
        """Limits of a folder."""
        with translated(folder, Subject.VFOLDER):
            note = self._area.read_json(QUOTAS, quota_note(folder))
        return Quota(limit_bytes=note["limit_bytes"], soft_bytes=note["soft_bytes"]) if note else Quota()

    def find(self) -> Iterator[VFolderId]:
        """Every folder on the volume, by its place."""
        for scope in (*self._scopes.known(), None):
            base = (scope.directory,) if scope else ()
            for first in self._names(base, _TWO):
                for second in self._names((*base, first), _TWO):
                    for rest in self._names((*base, first, second), _REST):
                        yield _folder(scope, first + second + rest)

    def _names(self, parts: tuple[str, ...], pattern: re.Pattern[str]) -> list[str]:
        try:
            with self._area.mount.below(parts) as directory:
                return [name for name in names_in(directory) if pattern.fullmatch(name)]
        except (FileNotFoundError, NotADirectoryError):
            return []


def _folder(scope: QuotaScopeId | None, digits: str) -> VFolderId:
    return VFolderId(scope, UUID(digits))


def quota_note(folder: VFolderId) -> str:
    """Name of the file that holds a folder's limits."""
    return f"{folder.uuid.hex}.json"
