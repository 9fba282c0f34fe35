"""Which handler a command has, and how its failure is told."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from actors.handlers.clones import abandon_clone, finish_clone, request_clone
from actors.handlers.effect import Effect, Ground
from actors.handlers.folders import (
    create_vfolder,
    delete_files,
    delete_vfolder,
    finish_purge,
    purge_vfolder,
    restore_vfolder,
)
from actors.handlers.migrations import (
    abandon_migration,
    finish_migration,
    migrate_vfolder,
    withdraw_vfolder,
)
from actors.handlers.scopes import (
    create_quota_scope,
    delete_quota_scope,
    set_quota,
    set_vfolder_quota,
    unset_quota,
)
from actors.handlers.tasks import abandon_task, cancel_task, finish_task, start_task
from backends.contract import Operation
from domain import commands, events, task_commands, task_events
from domain.messages import Command

Handle = Callable[[Any, Operation, Ground], Awaitable[Effect]]


@dataclass(frozen=True, slots=True)
class Handler:
    """A command's coroutine, and the event that says it failed."""

    handle: Handle
    failed: type[events.CommandFailed]


HANDLERS: Final[Mapping[type[Command], Handler]] = {
    commands.CreateQuotaScope: Handler(create_quota_scope, events.QuotaScopeCreateFailed),
    commands.DeleteQuotaScope: Handler(delete_quota_scope, events.QuotaScopeDeleteFailed),
    commands.SetQuota: Handler(set_quota, events.QuotaSetFailed),
    commands.UnsetQuota: Handler(unset_quota, events.QuotaUnsetFailed),
    commands.CreateVFolder: Handler(create_vfolder, events.VFolderCreateFailed),
    commands.DeleteVFolder: Handler(delete_vfolder, events.VFolderDeleteFailed),
    commands.RestoreVFolder: Handler(restore_vfolder, events.VFolderRestoreFailed),
    commands.PurgeVFolder: Handler(purge_vfolder, events.VFolderPurgeFailed),
    commands.FinishPurge: Handler(finish_purge, events.VFolderPurgeFinishFailed),
    commands.DeleteFiles: Handler(delete_files, events.FilesDeleteFailed),
    commands.RequestClone: Handler(request_clone, events.CloneFailed),
    commands.FinishClone: Handler(finish_clone, events.CloneFinishFailed),
    commands.AbandonClone: Handler(abandon_clone, events.CloneAbandonFailed),
    commands.SetVFolderQuota: Handler(set_vfolder_quota, events.VFolderQuotaSetFailed),
    commands.MigrateVFolder: Handler(migrate_vfolder, events.VFolderMigrateFailed),
    commands.WithdrawVFolder: Handler(withdraw_vfolder, events.VFolderWithdrawFailed),
    commands.FinishMigration: Handler(finish_migration, events.MigrationFinishFailed),
    commands.AbandonMigration: Handler(abandon_migration, events.MigrationAbandonFailed),
    task_commands.StartTask: Handler(start_task, task_events.TaskStartFailed),
    task_commands.FinishTask: Handler(finish_task, task_events.TaskFinishFailed),
    task_commands.AbandonTask: Handler(abandon_task, task_events.TaskAbandonFailed),
    task_commands.CancelTask: Handler(cancel_task, task_events.TaskCancelFailed),
}
