"""The trash of a mounted volume: what was deleted, and folders on their way to another place.

Whatever is taken from its place is renamed here in one step, with a note written before; so it is always either at
its place or here, and a repetition after a crash goes on where it was. Blocking.
"""

from __future__ import annotations

import errno
import os
import time
from contextlib import suppress
from typing import Any, Final
from uuid import UUID

from backends.contract import Operation, Purge, TrashEntry
from backends.mounted.area import AREA_NAME, PURGING, QUOTAS, TRASH, USAGE, Area
from backends.mounted.beneath import Beneath, names_in, opened
from backends.mounted.durable import completing, sync_between, sync_directory
from backends.mounted.errors import conflict, missing, translated
from backends.mounted.folders import Folders, quota_note
from backends.mounted.marker import mark
from backends.mounted.names import Deletion
from backends.mounted.scopes import Scopes
from domain.errors import ConflictError, NotFoundError, Subject
from domain.ids import VFolderId
from domain.paths import ROOT, STAGING_NAME, RelativePath
from domain.usage import Quota

#: Entries one step of a purge removes.
_PURGE_STEP: Final = 5000


class Trash:
    """The trash of one mounted volume."""

    def __init__(self, area: Area, scopes: Scopes, folders: Folders) -> None:
        self._area = area
        self._scopes = scopes
        self._folders = folders

    def delete(self, op: Operation, folder: VFolderId, *, held: UUID | None = None) -> None:
        """Rename a folder into the trash.

        Args:
            held: the task for which it is kept there; nobody else purges or restores it.
        """
        with translated(folder, Subject.VFOLDER):
            if self._area.exists(PURGING, str(op.id)):
                return
            if throw_away(self._area, op) or self._area.exists(TRASH, str(op.id)):
                self._area.sync(TRASH)  # that may be what failed before
                return
            path = RelativePath(folder.directory)
            with self._area.mount.below(path.parent.parts) as parent:
                os.close(os.open(path.name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=parent.fd))
                note = _document(folder, held)
                self._area.write_json(TRASH, trash_note(op.id), note, epoch=op.epoch, more_follows=True)
                with self._area.fence.guarded(op.epoch):
                    taken = self._area.fence.path(op.epoch, f"trash.{op.id}")
                    os.rename(path.name, taken, src_dir_fd=parent.fd, dst_dir_fd=self._area.mount.fd)
                sync_between(self._area.mount, parent.fd)
            throw_taken_away(self._area, op)
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

    def entries(self) -> list[TrashEntry]:
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
            held=UUID(note["held"]) if note.get("held") else None,
        )

    def doom(self, op: Operation, trash: UUID, folder: VFolderId, task: UUID | None) -> None:
        """Have a deleted folder purged at once."""
        with translated(folder, Subject.VFOLDER):
            note = self._note_of(trash, folder)
            _check_held(note, task)
            free = {name: value for name, value in note.items() if name != "held"}
            self._area.write_json(TRASH, trash_note(trash), {**free, "doomed": True}, epoch=op.epoch)

    def _note_of(self, trash: UUID, folder: VFolderId) -> dict[str, Any]:
        """What was noted of a deleted folder. Raises NotFoundError: it is not there, or of something else."""
        note = self._area.read_json(TRASH, trash_note(trash))
        if note is None or "paths" in note or VFolderId.parse(note["folder"]) != folder:
            raise missing(str(folder), Subject.VFOLDER)
        return note

    def restore(self, op: Operation, trash: UUID, folder: VFolderId, task: UUID | None) -> None:
        """Put a deleted folder back to its place, the way every new folder goes."""
        with translated(folder, Subject.VFOLDER):
            self._require_scope(folder)
            if not self._folders.made_before(op, folder):
                _check_held(self._note_of(trash, folder), task)
                self._take_back(op, trash)
                self._folders.place(op, f"trash.{trash}", folder)
            self._area.remove(TRASH, trash_note(trash))

    def move(self, op: Operation, source: VFolderId, destination: VFolderId) -> None:
        """Give a folder another id: into the trash, and from there to its new place."""
        with translated(destination, Subject.VFOLDER):
            self._require_scope(destination)
            if not self._folders.made_before(op, destination):
                self.delete(op, source, held=op.id)
                with completing():
                    self._move_on(op, source, destination)
            with completing():
                self._take_limits(op, source, destination)
            self._area.remove(TRASH, trash_note(op.id))

    def _move_on(self, op: Operation, source: VFolderId, destination: VFolderId) -> None:
        """Put what was taken from its place at the new one, or back where that is taken."""
        self._take_back(op, op.id)
        staged = f"trash.{op.id}"
        self._drop_uploads(op, staged)
        try:
            self._folders.place(op, staged, destination)
        except ConflictError:
            self._folders.place(op, staged, source)
            self._area.remove(TRASH, trash_note(op.id))
            raise

    def _drop_uploads(self, op: Operation, staged: str) -> None:
        """Unfinished uploads are of the folder that was, and nobody could ever finish them."""
        path = self._area.fence.path(op.epoch, staged)
        with self._area.fence.guarded(op.epoch):
            root = self._area.mount.below(RelativePath.parse(path).parts)
        with root, suppress(NotFoundError):
            deletion = Deletion(RelativePath((STAGING_NAME,)), recursive=True)
            while not deletion.step(root, _PURGE_STEP):
                pass

    def _take_limits(self, op: Operation, source: VFolderId, destination: VFolderId) -> None:
        known = self._folders.limits(source)
        if source.uuid != destination.uuid and known != Quota():
            self._folders.set_limits(op, destination, known.limit_bytes, known.soft_bytes)
            self._area.remove(QUOTAS, quota_note(source))

    def _require_scope(self, folder: VFolderId) -> None:
        if folder.scope is None or not self._scopes.exists(folder.scope):
            raise missing(str(folder.scope), Subject.QUOTA_SCOPE)

    def open_entry(self, trash: UUID) -> Beneath:
        """Open a folder that is in the trash and of which nothing is purged."""
        with translated(trash, Subject.VFOLDER):
            return self._area.mount.below((AREA_NAME, TRASH, str(trash)))

    def _take_back(self, op: Operation, trash: UUID) -> None:
        """Take a folder out of the trash to where only the present owner reaches it.

        Whoever purges takes it out of the trash as well, so it is either purged or restored.
        """
        mount, path = self._area.mount.fd, self._area.fence.path(op.epoch, f"trash.{trash}")
        with self._area.place(TRASH) as place, suppress(FileNotFoundError):
            os.rename(str(trash), path, src_dir_fd=place.fd, dst_dir_fd=mount)
            sync_between(self._area.mount, place.fd)
        # A repetition of this operation may have been here before.
        with self._area.fence.guarded(op.epoch):
            fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=mount)
        with opened(fd):
            mark(self._area, fd, op.id)
            sync_between(self._area.mount, fd)

    def purge(self, trash: UUID) -> Purge:
        """Remove some of what a trash entry holds."""
        with translated(trash, Subject.VFOLDER):
            with self._area.place(TRASH) as place, self._area.place(PURGING) as purging:
                with suppress(FileNotFoundError):
                    os.rename(str(trash), str(trash), src_dir_fd=place.fd, dst_dir_fd=purging.fd)
                try:
                    root = purging.below((str(trash),))
                except FileNotFoundError:
                    return Purge(0, finished=True, gone=True)
            with root:
                deletion = Deletion(ROOT, recursive=True, everything=True)
                finished = deletion.step(root, _PURGE_STEP)
            return Purge(deletion.removed, finished=finished)

    def drop(self, trash: UUID) -> None:
        """Forget a purged trash entry."""
        with translated(trash, Subject.VFOLDER), self._area.place(PURGING) as place:
            with suppress(FileNotFoundError):
                os.rmdir(str(trash), dir_fd=place.fd)
            note = self._area.read_json(TRASH, trash_note(trash))
            if note is not None and "paths" not in note:
                folder = VFolderId.parse(note["folder"])
                self._area.remove(USAGE, folder.uuid.hex)
                self._area.remove(QUOTAS, quota_note(folder))
            self._area.remove(TRASH, trash_note(trash))


def _document(folder: VFolderId, held: UUID | None) -> dict[str, Any]:
    document: dict[str, Any] = {"folder": str(folder), "time": time.time()}
    return {**document, "held": str(held)} if held else document


def _check_held(note: dict[str, Any], task: UUID | None) -> None:
    if note.get("held") and note["held"] != str(task):
        raise conflict("held", note["folder"], Subject.VFOLDER)


def throw_away(area: Area, op: Operation) -> bool:
    """Put what was taken from its place into the trash; False if this operation has taken nothing."""
    taken = area.fence.path(op.epoch, f"trash.{op.id}")
    with completing(), area.place(TRASH) as trash:
        try:
            os.rename(taken, str(op.id), src_dir_fd=area.mount.fd, dst_dir_fd=trash.fd)
        except FileNotFoundError:
            return False
        sync_directory(trash.fd)
    return True


def throw_taken_away(area: Area, op: Operation) -> None:
    """Put into the trash what this operation has surely taken; a later owner may have done so.

    Some file systems over a network say, for a moment, that a name is not there that was just given. What is left
    where it is then would be told of as deleted, and neither be restored nor purged.
    """
    if throw_away(area, op) or any(area.exists(place, str(op.id)) for place in (TRASH, PURGING)):
        return
    raise OSError(errno.EIO, "half done: what was taken from its place is not in the trash")


def trash_note(trash: UUID) -> str:
    """Name of the file beside a trash entry that tells what it was."""
    return f"{trash}.json"
