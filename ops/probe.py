"""What executing a command again would change, found out without changing anything."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final
from uuid import UUID

from backends.contract import EntryKind, Volume
from backends.powers import BuildsFolders, KeepsWork, LimitsFolders
from backends.presence import is_at_place
from domain.commands import (
    AbandonClone,
    AbandonMigration,
    CreateQuotaScope,
    CreateVFolder,
    DeleteFiles,
    DeleteQuotaScope,
    DeleteVFolder,
    FinishClone,
    FinishMigration,
    FinishPurge,
    MigrateVFolder,
    PurgeVFolder,
    RequestClone,
    RestoreVFolder,
    SetQuota,
    SetVFolderQuota,
    UnsetQuota,
    WithdrawVFolder,
)
from domain.errors import NotFoundError
from domain.foreign_names import read_path
from domain.ids import QuotaScopeId, VFolderId
from domain.messages import Command
from domain.task_commands import AbandonTask, CancelTask, FinishTask, StartTask
from domain.usage import Quota


async def difference(volume: Volume, command: Command) -> str:
    """In words what the command would change now; empty if the volume is as the command wants it."""
    return await PROBES[type(command)](volume, command)


async def _scope(volume: Volume, scope: QuotaScopeId, wanted: Quota | None) -> str:
    """What is missing of a scope, or other than wanted about its limits; None: whatever they are."""
    try:
        present = await volume.quota(scope)
    except NotFoundError:
        return f"quota scope {scope} is missing"
    return "" if wanted is None else _limits(scope, present, wanted)


def _limits(of: QuotaScopeId | VFolderId, present: Quota, wanted: Quota) -> str:
    if present.limit_bytes != wanted.limit_bytes:
        return f"the limit of {of} is {_limit(present.limit_bytes)}, not {_limit(wanted.limit_bytes)}"
    if present.soft_bytes != wanted.soft_bytes:
        return f"the soft limit of {of} is {_limit(present.soft_bytes)}, not {_limit(wanted.soft_bytes)}"
    return ""


def _limit(limit_bytes: int | None) -> str:
    return "none" if limit_bytes is None else f"{limit_bytes} bytes"


async def _create_scope(volume: Volume, command: CreateQuotaScope) -> str:
    return await _scope(volume, command.scope, _wanted(command) if command.limit_bytes is not None else None)


async def _delete_scope(volume: Volume, command: DeleteQuotaScope) -> str:
    missing = await _scope(volume, command.scope, None)
    return "" if missing else f"quota scope {command.scope} is still there"


async def _set_quota(volume: Volume, command: SetQuota) -> str:
    return await _scope(volume, command.scope, _wanted(command))


async def _unset_quota(volume: Volume, command: UnsetQuota) -> str:
    return await _scope(volume, command.scope, Quota())


def _wanted(command: CreateQuotaScope | SetQuota | SetVFolderQuota) -> Quota:
    return Quota(limit_bytes=command.limit_bytes, soft_bytes=command.soft_bytes)


async def _set_folder_quota(volume: Volume, command: SetVFolderQuota) -> str:
    missing = await _missing(volume, command.folder)
    if missing or not isinstance(volume, LimitsFolders):
        return missing
    return _limits(command.folder, await volume.folder_quota(command.folder), _wanted(command))


async def _create_folder(volume: Volume, command: CreateVFolder) -> str:
    return await _missing(volume, command.folder)


async def _make_copy(volume: Volume, command: RequestClone | FinishClone | MigrateVFolder | FinishMigration) -> str:
    return await _missing(volume, command.destination)


async def _missing(volume: Volume, folder: VFolderId) -> str:
    return "" if await is_at_place(volume, folder) else f"folder {folder} is missing"


async def _take_folder(volume: Volume, command: DeleteVFolder | WithdrawVFolder) -> str:
    return f"folder {command.folder} is still there" if await is_at_place(volume, command.folder) else ""


async def _delete_files(volume: Volume, command: DeleteFiles) -> str:
    files, there = volume.files(command.folder), []
    for path in command.paths:
        try:
            found = await files.stat(read_path(path))
        except NotFoundError:
            continue
        if command.recursive or found.kind is not EntryKind.DIRECTORY:
            there.append(path)
    return f"still there: {', '.join(there)}" if there else ""


async def _trashed(volume: Volume, command: RestoreVFolder | PurgeVFolder | FinishPurge) -> str:
    there = any(entry.id == command.trash for entry in await volume.trash())
    return f"trash entry {command.trash} is still there" if there else ""


async def _start_task(volume: Volume, command: StartTask) -> str:
    del volume  # nothing on it tells whether a task was done
    return f"{command.kind} would be done again"


async def _listed(
    volume: Volume, command: FinishTask | AbandonTask | CancelTask | AbandonClone | AbandonMigration
) -> str:
    there: list[UUID] = []
    if isinstance(volume, KeepsWork):
        there += [work.id for work in await volume.works()]
    if isinstance(volume, BuildsFolders):
        there += [plan.id for plan in await volume.builds()]
    return f"task {command.task} is still on the volume's list" if command.task in there else ""


#: What is looked at, for each type of command.
PROBES: Final[Mapping[type[Command], Callable[[Volume, Any], Awaitable[str]]]] = {
    CreateQuotaScope: _create_scope,
    DeleteQuotaScope: _delete_scope,
    SetQuota: _set_quota,
    UnsetQuota: _unset_quota,
    CreateVFolder: _create_folder,
    SetVFolderQuota: _set_folder_quota,
    DeleteVFolder: _take_folder,
    DeleteFiles: _delete_files,
    RestoreVFolder: _trashed,
    PurgeVFolder: _trashed,
    FinishPurge: _trashed,
    RequestClone: _make_copy,
    FinishClone: _make_copy,
    AbandonClone: _listed,
    MigrateVFolder: _make_copy,
    WithdrawVFolder: _take_folder,
    FinishMigration: _make_copy,
    AbandonMigration: _listed,
    StartTask: _start_task,
    FinishTask: _listed,
    AbandonTask: _listed,
    CancelTask: _listed,
}
