"""Commands: what a manager may ask of a volume. Names are imperative."""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

from pydantic import Field

from domain.ids import QuotaScopeId, VFolderId
from domain.messages import Command

#: Access mode bits of a new folder when none are given (rwxr-xr-x, as Backend.AI does).
DEFAULT_FOLDER_MODE = 0o755


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


class DeleteQuotaScope(_ScopeCommand):
    """Remove an empty quota scope."""

    type = "quota.scope.delete"


class SetQuota(_ScopeCommand):
    """Set the limit of a quota scope, whatever it was before."""

    type = "quota.set"

    limit_bytes: int = Field(ge=0, description="limit of all folders together, in bytes")


class UnsetQuota(_ScopeCommand):
    """Remove the limit of a quota scope."""

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


class DeleteVFolder(_FolderCommand):
    """Take a folder away at once; its contents go to the volume's trash and are purged in the background."""

    type = "vfolder.delete"


class FinishPurge(_FolderCommand):
    """Report that a worker has purged what was left of a deleted folder."""

    type = "vfolder.purge.finish"
    publisher = "the worker that purged it"

    trash: UUID = Field(description="id of the trash entry: the id of the delete command")
    entries: int = Field(ge=0, description="files and directories removed")


class RequestClone(Command):
    """Copy a folder of this volume to a new folder of it, by the storage's own means."""

    type = "clone.requested"

    source: VFolderId = Field(description="the folder to copy")
    destination: VFolderId = Field(description="the folder to make; must not be there")

    @property
    def key(self) -> str:
        return str(self.destination)
