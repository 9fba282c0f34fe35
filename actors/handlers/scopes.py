"""Quota scopes: create, delete, limit; and limits of single folders."""

from __future__ import annotations

from actors.handlers.effect import Effect, Ground
from backends.contract import Operation
from backends.powers import LimitsFolders
from domain.commands import CreateQuotaScope, DeleteQuotaScope, SetQuota, SetVFolderQuota, UnsetQuota
from domain.errors import Subject, UnsupportedError
from domain.events import QuotaScopeCreated, QuotaScopeDeleted, QuotaUpdated, VFolderQuotaUpdated


async def create_quota_scope(command: CreateQuotaScope, op: Operation, ground: Ground) -> Effect:
    """Make a quota scope with its limit."""
    await ground.volume.create_scope(op, command.scope, command.limit_bytes, command.soft_bytes)
    event = QuotaScopeCreated(
        volume=ground.volume.name,
        scope=command.scope,
        limit_bytes=command.limit_bytes,
        soft_bytes=command.soft_bytes,
    )
    return Effect([event])


async def delete_quota_scope(command: DeleteQuotaScope, op: Operation, ground: Ground) -> Effect:
    """Remove an empty quota scope."""
    await ground.volume.delete_scope(op, command.scope)
    return Effect([QuotaScopeDeleted(volume=ground.volume.name, scope=command.scope)])


async def set_quota(command: SetQuota, op: Operation, ground: Ground) -> Effect:
    """Set the limits of a quota scope, and make it before if that is wanted and it is not there."""
    # Done again after a crash between the two, it still is the one that has made the scope.
    made = bool(command.make) and (await ground.volume.ensure_scope(op, command.scope)).made
    await ground.volume.set_quota(op, command.scope, command.limit_bytes, command.soft_bytes)
    happened = QuotaScopeCreated if made else QuotaUpdated
    event = happened(
        volume=ground.volume.name,
        scope=command.scope,
        limit_bytes=command.limit_bytes,
        soft_bytes=command.soft_bytes,
    )
    return Effect([event])


async def unset_quota(command: UnsetQuota, op: Operation, ground: Ground) -> Effect:
    """Remove the limit of a quota scope."""
    await ground.volume.set_quota(op, command.scope, None)
    return Effect([QuotaUpdated(volume=ground.volume.name, scope=command.scope)])


async def set_vfolder_quota(command: SetVFolderQuota, op: Operation, ground: Ground) -> Effect:
    """Set or remove the limits of a folder."""
    volume = ground.volume
    if not isinstance(volume, LimitsFolders):
        raise UnsupportedError(f"backend {volume.backend} has no limits of folders", subject=Subject.VFOLDER)
    await volume.set_folder_quota(op, command.folder, command.limit_bytes, command.soft_bytes)
    event = VFolderQuotaUpdated(
        volume=volume.name,
        folder=command.folder,
        limit_bytes=command.limit_bytes,
        soft_bytes=command.soft_bytes,
    )
    return Effect([event])
