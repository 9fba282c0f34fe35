"""Quota scopes: create, delete, limit."""

from __future__ import annotations

from actors.handlers.effect import Effect, Ground
from backends.contract import Operation
from domain.commands import CreateQuotaScope, DeleteQuotaScope, SetQuota, UnsetQuota
from domain.events import QuotaScopeCreated, QuotaScopeDeleted, QuotaUpdated


async def create_quota_scope(command: CreateQuotaScope, op: Operation, ground: Ground) -> Effect:
    """Make a quota scope with its limit."""
    await ground.volume.create_scope(op, command.scope, command.limit_bytes)
    event = QuotaScopeCreated(volume=ground.volume.name, scope=command.scope, limit_bytes=command.limit_bytes)
    return Effect([event])


async def delete_quota_scope(command: DeleteQuotaScope, op: Operation, ground: Ground) -> Effect:
    """Remove an empty quota scope."""
    await ground.volume.delete_scope(op, command.scope)
    return Effect([QuotaScopeDeleted(volume=ground.volume.name, scope=command.scope)])


async def set_quota(command: SetQuota, op: Operation, ground: Ground) -> Effect:
    """Set the limit of a quota scope."""
    await ground.volume.set_quota(op, command.scope, command.limit_bytes)
    return Effect([QuotaUpdated(volume=ground.volume.name, scope=command.scope, limit_bytes=command.limit_bytes)])


async def unset_quota(command: UnsetQuota, op: Operation, ground: Ground) -> Effect:
    """Remove the limit of a quota scope."""
    await ground.volume.set_quota(op, command.scope, None)
    return Effect([QuotaUpdated(volume=ground.volume.name, scope=command.scope)])
