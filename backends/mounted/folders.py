"""Making, deleting and finding folders on a mounted volume.

A folder appears and disappears in one rename, out of and into what the owner of the present epoch makes ready; both
keep the operation's id, so a repetition after a crash finds its own traces. Blocking.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Final
from uuid import UUID

from backends.contract import Operation, Purge, TrashEntry
from backends.mounted.area import PURGING, TRASH, USAGE, Area
from backends.mounted.beneath import Beneath, names_in, opened, readable
from backends.mounted.durable import make_parents, rename_exclusive, sync_directory
from backends.mounted.errors import conflict, missing, translated
from backends.mounted.marker import is_marked, mark
from backends.mounted.names import DIRECTORY_MODE, Deletion
from backends.mounted.scopes import Scopes
from domain.errors import BackendUnavailableError, InvalidRequestError, Subject
from domain.ids import QuotaScopeId, VFolderId
from domain.paths import ROOT, RelativePath

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
            if self.made_before(op, folder):
                return
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
        """Whether this operation has made the folder already.

        Raises:
            ConflictError: somebody else has.
        """
        try:
            place = self._area.mount.below(folder.directory)
        except FileNotFoundError:
            return False
        with place:
            if self._is_marked(place, op):
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
            os.fsync(fd)

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

    def delete(self, op: Operation, folder: VFolderId) -> None:
        """Rename a folder into the trash."""
        with translated(folder, Subject.VFOLDER):
            if self._area.exists(PURGING, str(op.id)) or self._area.exists(TRASH, str(op.id)):
                return
            if throw_away(self._area, op):
                return
            path = RelativePath(folder.directory)
            with self._area.mount.below(path.parent.parts) as parent:
                os.close(os.open(path.name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=parent.fd))
                self._area.write_json(TRASH, trash_note(op.id), {"folder": str(folder), "time": time.time()})
                with self._area.fence.guarded(op.epoch):
                    taken = self._area.fence.path(op.epoch, f"trash.{op.id}")
                    os.rename(path.name, taken, src_dir_fd=parent.fd, dst_dir_fd=self._area.mount.fd)
                sync_directory(parent.fd)
            throw_away(self._area, op)
            self._prune(path.parent, keep=1 if folder.scope else 0)

    def _prune(self, path: RelativePath, keep: int) -> None:
        """Remove the directories above a deleted folder that are empty now."""
        while len(path.parts) > keep:
            try:
                with self._area.mount.directory(path.parent) as parent:
                    os.rmdir(path.name, dir_fd=parent)
            except OSError:
                return  # not empty, or gone: both are well
            path = path.parent

    def trash(self) -> list[TrashEntry]:
        """What was deleted and is not yet forgotten."""
        with translated(TRASH, Subject.VOLUME):
            with self._area.place(TRASH) as trash:
                kept = [name for name in names_in(trash) if not name.endswith((".json", ".new"))]
            with self._area.place(PURGING) as purging:
                doomed = names_in(purging)
            found = {name: self._entry(name, doomed=name in doomed) for name in (*kept, *doomed)}
        return [entry for entry in found.values() if entry is not None]

    def _entry(self, name: str, *, doomed: bool) -> TrashEntry | None:
        note = self._area.read_json(TRASH, f"{name}.json")
        if note is None or not note.get("whole", True):
            return None
        return TrashEntry(
            UUID(name),
            VFolderId.parse(note["folder"]),
            files="paths" in note,
            time=float(note.get("time", 0.0)),
            doomed=doomed or bool(note.get("doomed")) or "paths" in note,
        )

    def doom(self, op: Operation, trash: UUID) -> None:
        """Have a trash entry purged at once."""
        with translated(trash, Subject.VFOLDER):
            note = self._area.read_json(TRASH, trash_note(trash))
            if note is None:
                raise missing(str(trash), Subject.VFOLDER)
            self._area.write_json(TRASH, trash_note(trash), {**note, "doomed": True}, epoch=op.epoch)

    def restore(self, op: Operation, trash: UUID, folder: VFolderId) -> None:
        """Put a deleted folder back to its place, the way every new folder goes."""
        with translated(folder, Subject.VFOLDER):
            if folder.scope is None or not self._scopes.exists(folder.scope):
                raise missing(str(folder.scope), Subject.QUOTA_SCOPE)
            if not self.made_before(op, folder):
                self._check_restorable(trash, folder)
                self._take_back(op, trash)
                self.place(op, f"trash.{trash}", folder)
            self._area.remove(TRASH, trash_note(trash))

    def _check_restorable(self, trash: UUID, folder: VFolderId) -> None:
        note = self._area.read_json(TRASH, trash_note(trash))
        if note is None or "paths" in note or VFolderId.parse(note["folder"]) != folder:
            raise missing(str(folder), Subject.VFOLDER)

    def _take_back(self, op: Operation, trash: UUID) -> None:
        """Take a folder out of the trash to where only the present owner reaches it.

        Whoever purges takes it out of the trash as well, so it is either purged or restored.
        """
        mount, path = self._area.mount.fd, self._area.fence.path(op.epoch, f"trash.{trash}")
        with self._area.place(TRASH) as place, suppress(FileNotFoundError):
            os.rename(str(trash), path, src_dir_fd=place.fd, dst_dir_fd=mount)
            sync_directory(place.fd)
        # A repetition of this operation may have been here before.
        with self._area.fence.guarded(op.epoch):
            fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=mount)
        with opened(fd):
            mark(self._area, fd, op.id)
            os.fsync(fd)

    def purge(self, trash: UUID) -> Purge:
        """Remove some of what a trash entry holds."""
        with translated(trash, Subject.VFOLDER):
            with self._area.place(TRASH) as place, self._area.place(PURGING) as purging:
                with suppress(FileNotFoundError):
                    os.rename(str(trash), str(trash), src_dir_fd=place.fd, dst_dir_fd=purging.fd)
                try:
                    root = purging.below((str(trash),))
                except FileNotFoundError:
                    return Purge(0, finished=True)
            with root:
                deletion = Deletion(ROOT, recursive=True, everything=True)
                finished = deletion.step(root, _PURGE_STEP)
            return Purge(deletion.removed, finished=finished)

    def drop_trash(self, trash: UUID) -> None:
        """Forget a purged trash entry."""
        with translated(trash, Subject.VFOLDER), self._area.place(PURGING) as place:
            with suppress(FileNotFoundError):
                os.rmdir(str(trash), dir_fd=place.fd)
            note = self._area.read_json(TRASH, trash_note(trash))
            if note is not None and "paths" not in note:
                self._area.remove(USAGE, VFolderId.parse(note["folder"]).uuid.hex)
            self._area.remove(TRASH, trash_note(trash))

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


def throw_away(area: Area, op: Operation) -> bool:
    """Put what was taken from its place into the trash; False if this operation has taken nothing."""
    taken = area.fence.path(op.epoch, f"trash.{op.id}")
    with area.place(TRASH) as trash:
        try:
            os.rename(taken, str(op.id), src_dir_fd=area.mount.fd, dst_dir_fd=trash.fd)
        except FileNotFoundError:
            return False
        sync_directory(trash.fd)
    return True


def _folder(scope: QuotaScopeId | None, digits: str) -> VFolderId:
    return VFolderId(scope, UUID(digits))


def trash_note(trash: UUID) -> str:
    """Name of the file beside a trash entry that tells what it was."""
    return f"{trash}.json"
