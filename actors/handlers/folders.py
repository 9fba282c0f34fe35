"""Folders: create, delete, purge, clone."""

from __future__ import annotations

from actors.handlers.effect import Effect, Ground
from backends.contract import Operation
from backends.powers import ClonesFolders
from domain.commands import CreateVFolder, DeleteVFolder, FinishPurge, RequestClone
from domain.errors import InvalidRequestError, QuotaExceededError, Subject, UnsupportedError
from domain.events import CloneCompleted, QuotaScopeCreated, VFolderCreated, VFolderDeleted, VFolderPurged
from domain.ids import QuotaScopeId, VFolderId
from domain.messages import Event


async def create_vfolder(command: CreateVFolder, op: Operation, ground: Ground) -> Effect:
    """Make an empty folder, and its scope if it is the first of its owner."""
    before = await _open_scope(command.folder, op, ground)
    await ground.volume.create_folder(op, command.folder, command.mode)
    event = VFolderCreated(volume=ground.volume.name, folder=command.folder, mode=command.mode)
    return Effect([*before, event])


async def delete_vfolder(command: DeleteVFolder, op: Operation, ground: Ground) -> Effect:
    """Take a folder away; what it holds is purged later."""
    await ground.volume.delete_folder(op, command.folder)
    return Effect([VFolderDeleted(volume=ground.volume.name, folder=command.folder, trash=op.id)])


async def finish_purge(command: FinishPurge, op: Operation, ground: Ground) -> Effect:
    """Forget a deleted folder of which nothing is left."""
    del op
    await ground.volume.drop_trash(command.trash)
    event = VFolderPurged(
        volume=ground.volume.name, folder=command.folder, trash=command.trash, entries=command.entries
    )
    return Effect([event])


async def clone_vfolder(command: RequestClone, op: Operation, ground: Ground) -> Effect:
    """Copy a folder by the storage's own means."""
    volume = ground.volume
    if not isinstance(volume, ClonesFolders):
        raise UnsupportedError(f"backend {volume.backend} cannot clone folders", subject=Subject.VFOLDER)
    before = await _open_scope(command.destination, op, ground)
    await volume.clone_folder(op, command.source, command.destination)
    event = CloneCompleted(volume=volume.name, source=command.source, destination=command.destination)
    return Effect([*before, event])


async def _open_scope(folder: VFolderId, op: Operation, ground: Ground) -> list[Event]:
    """Make the scope of a new folder if it is not there; refuse if its limit is reached."""
    if folder.scope is None:
        raise InvalidRequestError("quota_scope_id is required for vfid", field="vfid")
    made = await ground.volume.ensure_scope(op, folder.scope)
    await _check_quota(folder.scope, ground)
    return [QuotaScopeCreated(volume=ground.volume.name, scope=folder.scope)] if made else []


async def _check_quota(scope: QuotaScopeId, ground: Ground) -> None:
    limit = (await ground.volume.quota(scope)).limit_bytes
    if limit is None:
        return
    used = await ground.used_bytes(scope)
    if used >= limit:
        raise QuotaExceededError(
            f"{scope} uses {used} of {limit} bytes", subject=Subject.QUOTA_SCOPE, used_bytes=used, limit_bytes=limit
        )
