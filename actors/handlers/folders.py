"""Folders: create, delete, purge; and deleting what is in them."""

from __future__ import annotations

from contextlib import suppress

from actors.handlers.arrivals import Arrival
from actors.handlers.before import is_made
from actors.handlers.effect import Effect, Ground
from backends.contract import Operation
from backends.powers import RestoresFolders, TrashesFiles
from bus.accounts import Account
from domain.commands import (
    CreateVFolder,
    DeleteFiles,
    DeleteVFolder,
    FinishPurge,
    PurgeVFolder,
    RestoreVFolder,
)
from domain.errors import (
    InvalidPathError,
    InvalidRequestError,
    NotFoundError,
    QuotaExceededError,
    Subject,
    UnsupportedError,
)
from domain.events import (
    FileDeleted,
    FilesPurged,
    QuotaScopeCreated,
    VFolderCreated,
    VFolderDeleted,
    VFolderPurged,
    VFolderPurgeRequested,
    VFolderRestored,
)
from domain.foreign_names import read_path
from domain.ids import QuotaScopeId, VFolderId
from domain.messages import Event
from domain.paths import RelativePath
from domain.usage import Quota


async def create_vfolder(command: CreateVFolder, op: Operation, ground: Ground) -> Effect:
    """Make an empty folder, and its scope if it is the first of its owner."""
    before = await open_scope(command.folder, op, ground, limit_bytes=command.scope_limit_bytes)
    await ground.volume.create_folder(op, command.folder, command.mode)
    event = VFolderCreated(volume=ground.volume.name, folder=command.folder, mode=command.mode)
    return Effect([*before, event])


async def delete_vfolder(command: DeleteVFolder, op: Operation, ground: Ground) -> Effect:
    """Take a folder away; what it holds is purged later."""
    await ground.volume.delete_folder(op, command.folder)
    return Effect([VFolderDeleted(volume=ground.volume.name, folder=command.folder, trash=op.id)])


async def restore_vfolder(command: RestoreVFolder, op: Operation, ground: Ground) -> Effect:
    """Put a deleted folder back; refused if it does not fit any more, unless it comes back from a migration."""
    restorer = _restorer(ground)
    if command.task is None:
        with suppress(NotFoundError):  # it may be back already
            await _check_restored(restorer, command, ground)
    await restorer.restore_folder(op, command.trash, command.folder, task=command.task)
    event = VFolderRestored(
        volume=ground.volume.name, folder=command.folder, trash=command.trash, task=command.task
    )
    return Effect([event])


async def _check_restored(restorer: RestoresFolders, command: RestoreVFolder, ground: Ground) -> None:
    """Refuse what would pass its owner's limit. Raises NotFoundError, QuotaExceededError."""
    scope = command.folder.scope
    if scope is None:
        return
    account = Account(ground.volume.name, scope)
    limit = await account.limit_bytes(ground.catalogue, await ground.volume.quota(scope))
    if limit is None:
        return  # it need not be counted
    usage = await restorer.trash_usage(command.trash)
    await ground.arrivals.admit(Arrival(account, limit, command.folder, usage.file_bytes))


async def purge_vfolder(command: PurgeVFolder, op: Operation, ground: Ground) -> Effect:
    """Have a deleted folder purged at once."""
    await _restorer(ground).doom_trash(op, command.trash, command.folder, task=command.task)
    event = VFolderPurgeRequested(volume=ground.volume.name, folder=command.folder, trash=command.trash)
    return Effect([event])


def _restorer(ground: Ground) -> RestoresFolders:
    volume = ground.volume
    if not isinstance(volume, RestoresFolders):
        raise UnsupportedError(f"backend {volume.backend} keeps no deleted folders", subject=Subject.VFOLDER)
    return volume


async def finish_purge(command: FinishPurge, op: Operation, ground: Ground) -> Effect:
    """Forget a deleted folder of which nothing is left."""
    del op
    await ground.volume.drop_trash(command.trash)
    purged = FilesPurged if command.files else VFolderPurged
    event = purged(volume=ground.volume.name, folder=command.folder, trash=command.trash, entries=command.entries)
    return Effect([event])


async def delete_files(command: DeleteFiles, op: Operation, ground: Ground) -> Effect:
    """Take files and directories out of a folder; what they hold is purged later."""
    paths = [_deletable(path) for path in command.paths]
    volume = ground.volume
    if isinstance(volume, TrashesFiles):
        removed = list(await volume.trash_files(op, command.folder, paths, recursive=command.recursive))
    else:
        files = volume.files(command.folder)
        removed = [path for path in paths if await files.delete(path, recursive=command.recursive)]
        await files.sync_names(removed)
    told = [str(path) for path in removed]
    deleted = FileDeleted(volume=volume.name, folder=command.folder, paths=told, trash=op.id)
    if told and isinstance(volume, TrashesFiles):
        return Effect([deleted], {"paths": told})
    # Nothing is left to be purged: whoever waits for the end of it is told at once.
    purged = FilesPurged(volume=volume.name, folder=command.folder, trash=op.id, entries=len(told))
    return Effect([deleted, purged], {"paths": told})


def _deletable(text: str) -> RelativePath:
    path = read_path(text)
    if path.is_reserved:
        raise InvalidPathError("reserved for unfinished uploads", subject=Subject.FILE, path=text)
    return path


async def open_scope(
    folder: VFolderId, op: Operation, ground: Ground, more: int = 0, *, limit_bytes: int | None = None
) -> list[Event]:
    """Make the scope of a new folder if it is not there; refuse if so many more bytes pass its limit.

    Args:
        limit_bytes: limit it gets if it is made; one that was there keeps its own.
    """
    if folder.scope is None:
        raise InvalidRequestError("quota_scope_id is required for vfid", field="vfid")
    scope = await ground.volume.ensure_scope(op, folder.scope)
    if not scope.made:
        # What is full takes no new folder, be it empty.
        try:
            await _check_quota(folder, folder.scope, scope.quota, ground, more)
        except QuotaExceededError:
            if not await is_made(folder, op, ground.volume):
                raise
        return []
    if limit_bytes is not None:
        await ground.volume.set_quota(op, folder.scope, limit_bytes)
    return [QuotaScopeCreated(volume=ground.volume.name, scope=folder.scope, limit_bytes=limit_bytes)]


async def _check_quota(folder: VFolderId, scope: QuotaScopeId, quota: Quota, ground: Ground, more: int) -> None:
    """Refuse a folder with so many bytes if they pass its scope's limit, or nothing is left of that."""
    account = Account(ground.volume.name, scope)
    limit = await account.limit_bytes(ground.catalogue, quota)
    if limit is not None:
        await ground.arrivals.admit(Arrival(account, limit, folder, more, least_bytes=1))
