"""Events: what has happened. Names are past tense; a refused command's event ends in `.failed`."""

from __future__ import annotations

from uuid import UUID

from pydantic import Field

from domain.commands import MigrateVFolder, RequestClone, RestoreVFolder
from domain.errors import ErrorCode, Retry
from domain.ids import QuotaScopeId, VFolderId, VolumeName
from domain.messages import Command, Event, Reason

_GATEWAY = "the gateway that did it"
_OR_GATEWAY = "the actor of the volume, or a gateway that has no such volume"


class _OwnerEvent(Event):
    owner: str = Field(description="name of the actor process")
    epoch: int = Field(description="its epoch; grows with every change of owner")


class VolumeTaken(_OwnerEvent):
    """An actor process handles the volume's commands from now on."""

    type = "volume.taken"


class VolumeReleased(_OwnerEvent):
    """An actor process gave the volume back in good order; without it the next `volume.taken` followed a crash."""

    type = "volume.released"


class ConfigChanged(Event):
    """The settings of the processes that have this volume may have changed; they read them again."""

    type = "config.changed"
    publisher = "an operator, by `penstock reload`"
    consumer = "whoever keeps something that depends on them"


class _ScopeEvent(Event):
    scope: QuotaScopeId = Field(description="the quota scope")


class QuotaScopeCreated(_ScopeEvent):
    """A quota scope is there."""

    type = "quota.scope.created"

    limit_bytes: int | None = Field(None, description="limit in bytes; absent: none")
    soft_bytes: int | None = Field(None, description="limit that may be passed for some time; absent: none")


class QuotaScopeDeleted(_ScopeEvent):
    """A quota scope is gone."""

    type = "quota.scope.deleted"


class QuotaUpdated(_ScopeEvent):
    """The limits of a quota scope are now these."""

    type = "quota.updated"

    limit_bytes: int | None = Field(None, description="limit in bytes; absent: none")
    soft_bytes: int | None = Field(None, description="limit that may be passed for some time; absent: none")


class _FolderEvent(Event):
    folder: VFolderId = Field(description="the folder")


class VFolderCreated(_FolderEvent):
    """A folder is there, empty."""

    type = "vfolder.created"

    mode: int = Field(description="permission bits of the directory")


class VFolderDeleted(_FolderEvent):
    """A folder is gone from its place; its contents wait in the trash."""

    type = "vfolder.deleted"

    trash: UUID = Field(description="id of the trash entry: the id of the delete command")


class VFolderRestored(_FolderEvent):
    """A deleted folder is back at its place, with all it held."""

    type = "vfolder.restored"

    trash: UUID = Field(description="id of the trash entry it was")
    task: UUID | None = Field(None, description="the migration it comes back from; absent: it was deleted")


class VFolderPurgeRequested(_FolderEvent):
    """A deleted folder is to be purged at once."""

    type = "vfolder.purge.requested"

    trash: UUID = Field(description="id of the trash entry")


class VFolderPurged(_FolderEvent):
    """Nothing is left of a deleted folder; its bytes are free."""

    type = "vfolder.purged"

    trash: UUID = Field(description="id of the trash entry")
    entries: int = Field(description="files and directories removed")


class FilesPurged(_FolderEvent):
    """Nothing is left of files that were deleted from a folder; their bytes are free."""

    type = "files.purged"

    trash: UUID = Field(description="id of the trash entry: the id of the delete command")
    entries: int = Field(description="files and directories removed")


class VFolderQuotaUpdated(_FolderEvent):
    """The limits of a folder are now these."""

    type = "vfolder.quota.updated"

    limit_bytes: int | None = Field(None, description="limit in bytes; absent: none")
    soft_bytes: int | None = Field(None, description="limit that may be passed for some time; absent: none")


class QuotaAlert(Event):
    """How much of its limit a scope or a folder uses has passed a threshold, upwards or downwards."""

    type = "quota.alert"

    scope: QuotaScopeId | None = Field(None, description="the scope; absent: it is about a folder")
    folder: VFolderId | None = Field(None, description="the folder; absent: it is about a scope")
    percent: int = Field(description="the highest threshold that is reached now, in percent; 0: none")
    before: int = Field(description="the one that was reached before")
    used_bytes: int = Field(description="what is used")
    limit_bytes: int | None = Field(None, description="limit in bytes; absent: none")
    soft_bytes: int | None = Field(None, description="limit that may be passed for some time; absent: none")
    soft_since: float | None = Field(
        None, description="since when the soft limit is passed, Unix time; else absent"
    )
    enforced: bool = Field(False, description="whether the soft limit was passed for so long that it holds now")


class UsageMeasured(_FolderEvent):
    """What a folder holds was counted; unfinished uploads are left out."""

    type = "usage.measured"
    publisher = "the worker that counted it"

    entries: int = Field(description="files, directories and links")
    files: int = Field(description="regular files")
    file_bytes: int = Field(description="sum of the sizes of regular files, each counted once; quotas count this")
    logical_bytes: int = Field(description="sum of the sizes of all entries, directories included")
    allocated_bytes: int = Field(description="bytes the file system has given, as `du` counts")
    changes: int | None = Field(
        None,
        description="how often anything in it had been removed or moved as the count began; absent: not told",
    )
    added_bytes: int = Field(0, description="bytes that uploads had added to it by then")
    added_files: int = Field(0, description="files that uploads had added to it by then")
    made: str = Field("", description="which of the folder's records tells these three")


class _CloneEvent(Event):
    source: VFolderId = Field(description="the folder to copy")
    destination: VFolderId = Field(description="the folder to make, on this volume")
    source_volume: VolumeName | None = Field(None, description="where the source is; absent: on this volume")


class CloneAccepted(_CloneEvent):
    """A folder is being copied."""

    type = "clone.accepted"

    task: UUID = Field(description="id of the task: the id of the clone command")


class CloneCompleted(_CloneEvent):
    """A folder has been copied, whole."""

    type = "clone.completed"

    task: UUID | None = Field(None, description="id of the task, if there was one")
    entries: int | None = Field(None, description="files, directories and links copied; absent: not counted")
    size_bytes: int | None = Field(None, description="bytes of files copied; absent: not counted")
    changed: list[str] = Field(
        default_factory=list, description="files that were changed while they were copied, the first 20 of them"
    )


class _AbandonedEvent(Reason, _CloneEvent):
    task: UUID = Field(description="id of the task: the id of the command that began it")


class CloneAbandoned(_AbandonedEvent):
    """A folder that was being copied will not be; nothing of it is left."""

    type = "clone.abandoned"


class MigrationAccepted(_CloneEvent):
    """A folder is on its way to another volume; it can still be used where it is."""

    type = "vfolder.migration.accepted"

    task: UUID = Field(description="id of the task: the id of the migrate command")


class VFolderWithdrawn(_FolderEvent):
    """A folder is not at its place while the last of it is copied to another volume."""

    type = "vfolder.withdrawn"

    trash: UUID = Field(description="id of the trash entry in which it is kept meanwhile")
    task: UUID = Field(description="id of the task: the id of the migrate command")
    destination: VFolderId = Field(description="what it becomes")
    destination_volume: VolumeName = Field(description="and where")


class VFolderMigrated(_CloneEvent):
    """A folder is at its new place, and no longer at its old one."""

    type = "vfolder.migrated"

    task: UUID | None = Field(None, description="id of the task, if there was one")
    entries: int | None = Field(None, description="files, directories and links copied; absent: none were")
    size_bytes: int | None = Field(None, description="bytes of files copied; absent: none were")


class MigrationAbandoned(_AbandonedEvent):
    """A folder stays where it was."""

    type = "vfolder.migration.abandoned"


class VFolderMissing(_FolderEvent):
    """A folder the catalogue knows is not on its volume, and nobody deleted it."""

    type = "vfolder.missing"
    publisher = "the worker that looked for it"


class CommandFailed(Event):
    """A command was refused or could not be done; nothing changed."""

    subject: str = Field(description="ordering key of the command: the scope or folder it was about")
    code: ErrorCode = Field(description="what went wrong, wire-stable")
    retry: Retry = Field(description="whether the same command may succeed later")
    detail: str = Field(description="a sentence for people")

    @classmethod
    def of(cls, command: Command) -> dict[str, object]:
        """What more an event of this type tells of the command."""
        del command
        return {}


class QuotaScopeCreateFailed(CommandFailed):
    """`quota.scope.create` failed."""

    type = "quota.scope.create.failed"


class QuotaScopeDeleteFailed(CommandFailed):
    """`quota.scope.delete` failed."""

    type = "quota.scope.delete.failed"


class QuotaSetFailed(CommandFailed):
    """`quota.set` failed."""

    type = "quota.set.failed"


class QuotaUnsetFailed(CommandFailed):
    """`quota.unset` failed."""

    type = "quota.unset.failed"


class VFolderCreateFailed(CommandFailed):
    """`vfolder.create` failed."""

    type = "vfolder.create.failed"


class VFolderDeleteFailed(CommandFailed):
    """`vfolder.delete` failed."""

    type = "vfolder.delete.failed"
    publisher = _OR_GATEWAY


class VFolderPurgeFinishFailed(CommandFailed):
    """`vfolder.purge.finish` failed."""

    type = "vfolder.purge.finish.failed"


class VFolderRestoreFailed(CommandFailed):
    """`vfolder.restore` failed."""

    type = "vfolder.restore.failed"

    folder: VFolderId | None = Field(None, description="the folder that does not come back")

    @classmethod
    def of(cls, command: Command) -> dict[str, object]:
        return {"folder": command.folder} if isinstance(command, RestoreVFolder) else {}


class VFolderPurgeFailed(CommandFailed):
    """`vfolder.purge` failed."""

    type = "vfolder.purge.failed"


class VFolderQuotaSetFailed(CommandFailed):
    """`vfolder.quota.set` failed."""

    type = "vfolder.quota.set.failed"


class VFolderMigrateFailed(CommandFailed):
    """`vfolder.migrate` failed."""

    type = "vfolder.migrate.failed"

    folder: VFolderId | None = Field(None, description="what it was to become")

    @classmethod
    def of(cls, command: Command) -> dict[str, object]:
        return {"folder": command.destination} if isinstance(command, MigrateVFolder) else {}


class VFolderWithdrawFailed(CommandFailed):
    """`vfolder.withdraw` failed; the migration is given up."""

    type = "vfolder.withdraw.failed"


class MigrationFinishFailed(CommandFailed):
    """`vfolder.migrate.finish` failed; the task goes on until it is abandoned."""

    type = "vfolder.migrate.finish.failed"


class MigrationAbandonFailed(CommandFailed):
    """`vfolder.migrate.abandon` failed."""

    type = "vfolder.migrate.abandon.failed"


class FilesDeleteFailed(CommandFailed):
    """`files.delete` failed."""

    type = "files.delete.failed"
    publisher = _OR_GATEWAY


class CloneFinishFailed(CommandFailed):
    """`clone.finish` failed; the task goes on until it is abandoned."""

    type = "clone.finish.failed"


class CloneAbandonFailed(CommandFailed):
    """`clone.abandon` failed."""

    type = "clone.abandon.failed"


class CloneFailed(CommandFailed):
    """`clone.requested` failed."""

    type = "clone.failed"
    publisher = _OR_GATEWAY

    source: VFolderId | None = Field(None, description="the folder that was to be copied")

    @classmethod
    def of(cls, command: Command) -> dict[str, object]:
        return {"source": command.source} if isinstance(command, RequestClone) else {}


class _FileEvent(_FolderEvent):
    publisher = _GATEWAY


class FileUploaded(_FileEvent):
    """An upload is whole at its destination. Published exactly once for each upload."""

    type = "file.uploaded"

    path: str = Field(description="destination, relative to the folder")
    size_bytes: int = Field(description="length of the file in bytes")
    replaced_bytes: int | None = Field(None, description="length of the file it replaced, in bytes; absent: none")
    session: str = Field(description="id of the upload session, 32 hex digits")
    sha256: str = Field("", description="SHA-256 of the file, 64 hex digits; empty: not computed")
    recovered: bool = Field(
        False,
        description="whether who put it there died before telling of it; then `replaced_bytes` is not certain",
    )


class ArchiveUnpacked(_FileEvent):
    """An archive that was uploaded is unpacked. Published exactly once for each upload."""

    type = "archive.unpacked"

    path: str = Field(description="directory it was unpacked into, relative to the folder")
    files: int = Field(description="files it became")
    size_bytes: int = Field(description="length of these files in bytes")
    session: str = Field(description="id of the upload session, 32 hex digits")


class FileDamaged(_FileEvent):
    """A file's bytes are not those its digest was kept of, though nobody is known to have changed it."""

    type = "file.damaged"
    publisher = "`penstock scrub`, or the gateway that was asked to verify it"

    path: str = Field(description="the file, relative to the folder")
    kept_sha256: str = Field(description="SHA-256 that was kept with the file, 64 hex digits")
    found_sha256: str = Field(description="SHA-256 of the bytes that were read, 64 hex digits")


class FileDeleted(_FileEvent):
    """Files or directories were removed."""

    type = "file.deleted"

    paths: list[str] = Field(description="what was removed, relative to the folder")
    partly: list[str] = Field(
        default_factory=list,
        description="directories of which something was removed, and the rest could not be, relative to the folder",
    )
    trash: UUID | None = Field(
        None, description="id of the trash entry from which it is purged; absent: it is gone already"
    )


class FileMoved(_FileEvent):
    """A file or directory has another name or place in its folder."""

    type = "file.moved"

    source: str = Field(description="where it was, relative to the folder")
    destination: str = Field(description="where it is, relative to the folder")
    replaced: bool = Field(False, description="whether something else stood there before")


class DirectoryCreated(_FileEvent):
    """Directories were made."""

    type = "directory.created"

    paths: list[str] = Field(description="what was made, relative to the folder")
