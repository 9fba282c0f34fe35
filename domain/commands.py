"""Commands: what a manager may ask of a volume. Names are imperative."""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

from pydantic import Field

from domain.ids import QuotaScopeId, VFolderId, VolumeName
from domain.messages import Command, Reason

#: Access mode bits of a new folder when none are given (rwxr-xr-x, as Backend.AI does).
DEFAULT_FOLDER_MODE = 0o755
_SOFT = "limit that may be passed for some time, in bytes; absent: none"


class _ScopeCommand(Command):
    """Scopes hold folders, so their commands wait for all folder commands before them."""

    exclusive: ClassVar[bool] = True

    scope: QuotaScopeId = Field(description="owner of folders: `user:<uuid>` or `project:<uuid>`")

    @property
    def key(self) -> str:
        return str(self.scope)


class CreateQuotaScope(_ScopeCommand):
    """Make the place a user's or project's folders live in, with an optional limit."""

    type = "quota.scope.create"

    limit_bytes: int | None = Field(None, ge=0, description="limit of all folders together, in bytes; absent: none")
    soft_bytes: int | None = Field(None, ge=0, description=_SOFT)


class DeleteQuotaScope(_ScopeCommand):
    """Remove an empty quota scope."""

    type = "quota.scope.delete"


class SetQuota(_ScopeCommand):
    """Set the limits of a quota scope, whatever they were before."""

    type = "quota.set"

    limit_bytes: int | None = Field(None, ge=0, description="limit of all folders together, in bytes; absent: none")
    soft_bytes: int | None = Field(None, ge=0, description=_SOFT)
    make: bool | None = Field(
        None, description="whether the scope is made, with these limits, if it is not there; absent: it is not"
    )


class UnsetQuota(_ScopeCommand):
    """Remove the limits of a quota scope."""

    type = "quota.unset"


class _FolderCommand(Command):
    folder: VFolderId = Field(description="the folder: `<scope>/<32 hex digits>`")

    @property
    def key(self) -> str:
        return str(self.folder)


class CreateVFolder(_FolderCommand):
    """Make an empty folder; its quota scope is made as well if it is not there."""

    type = "vfolder.create"

    mode: int = Field(DEFAULT_FOLDER_MODE, ge=0, le=0o7777, description="permission bits of the directory")
    scope_limit_bytes: int | None = Field(
        None, ge=0, description="limit its scope gets if this command makes it, in bytes; absent: none"
    )


class SetVFolderQuota(_FolderCommand):
    """Set the limits of one folder, whatever they were before; without any, remove them."""

    type = "vfolder.quota.set"

    limit_bytes: int | None = Field(None, ge=0, description="limit of the folder, in bytes; absent: none")
    soft_bytes: int | None = Field(None, ge=0, description=_SOFT)


class DeleteVFolder(_FolderCommand):
    """Take a folder away at once; its contents go to the volume's trash and are purged in the background."""

    type = "vfolder.delete"


class DeleteFiles(_FolderCommand):
    """Take files and directories out of a folder at once; what they held is purged in the background."""

    type = "files.delete"

    paths: list[str] = Field(description="what to remove, relative to the folder")
    recursive: bool = Field(False, description="whether directories go as well, with all they hold")


class _TrashCommand(_FolderCommand):
    trash: UUID = Field(description="id of the trash entry: the id of the delete command")
    task: UUID | None = Field(None, description="the migration it was taken there for; absent: it was deleted")


class RestoreVFolder(_TrashCommand):
    """Put a deleted folder back to its place, as long as nothing of it was purged."""

    type = "vfolder.restore"


class PurgeVFolder(_TrashCommand):
    """Have a deleted folder purged at once, however long deleted folders are kept."""

    type = "vfolder.purge"


class FinishPurge(_FolderCommand):
    """Report that a worker has purged what was left of a deleted folder, or of files deleted from one."""

    type = "vfolder.purge.finish"
    publisher = "the worker that purged it"

    trash: UUID = Field(description="id of the trash entry: the id of the delete command")
    entries: int = Field(ge=0, description="files and directories removed")
    files: bool = Field(False, description="whether it was files of a folder, not a folder")


class _CloneCommand(Command):
    source: VFolderId = Field(description="the folder to copy")
    destination: VFolderId = Field(description="the folder to make, on this volume; must not be there")
    source_volume: VolumeName | None = Field(None, description="where the source is; absent: on this volume")

    @property
    def key(self) -> str:
        return str(self.destination)


class RequestClone(_CloneCommand):
    """Make a new folder that holds what another one holds: by the storage's own means, or by copying."""

    type = "clone.requested"

    verify: bool = Field(False, description="whether the copies are read again and compared")


class FinishClone(_CloneCommand):
    """Put a copied folder at its place: a worker has copied all there is."""

    type = "clone.finish"
    publisher = "the worker that copied it"

    task: UUID = Field(description="id of the task: the id of the clone command")
    attempt: str = Field(description="which try of the worker it was that came to the end")
    entries: int = Field(ge=0, description="files, directories and links copied")
    size_bytes: int = Field(ge=0, description="bytes of files copied")
    changed: list[str] = Field(default_factory=list, description="files that were changed while they were copied")


class _AbandonCommand(Reason, _CloneCommand):
    publisher = "the worker that copied it"

    task: UUID = Field(description="id of the task: the id of the command that began it")


class AbandonClone(_AbandonCommand):
    """Give a clone up: it was cancelled, or cannot be done."""

    type = "clone.abandon"


class MigrateVFolder(_CloneCommand):
    """Give a folder another owner or another volume, or both."""

    type = "vfolder.migrate"

    verify: bool = Field(False, description="whether copies are read again and compared before the source goes")


class WithdrawVFolder(_FolderCommand):
    """Take a folder from its place, so that nobody changes it while the last of it is copied to another volume."""

    type = "vfolder.withdraw"
    publisher = "the worker that copies it"

    task: UUID = Field(description="id of the task: the id of the migrate command")
    destination: VFolderId = Field(description="what it becomes")
    destination_volume: VolumeName = Field(description="and where")


class FinishMigration(_CloneCommand):
    """Put a migrated folder at its new place: a worker has copied all there is."""

    type = "vfolder.migrate.finish"
    publisher = "the worker that copied it"

    task: UUID = Field(description="id of the task: the id of the migrate command")
    attempt: str = Field(description="which try of the worker it was that came to the end")
    entries: int = Field(ge=0, description="files, directories and links copied")
    size_bytes: int = Field(ge=0, description="bytes of files copied")
    limit_bytes: int | None = Field(None, ge=0, description="limit the folder has at its old place; absent: none")
    soft_bytes: int | None = Field(None, ge=0, description=_SOFT)


class AbandonMigration(_AbandonCommand):
    """Give a migration up: it was cancelled, or cannot be done. The folder stays where it was."""

    type = "vfolder.migrate.abandon"
