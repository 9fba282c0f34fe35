"""Migrations: a folder gets another owner at once, and another volume when a worker has copied it there.

While it is copied it can be used where it is. Then it is taken from its place, so that nobody changes it, the last
of it is copied, and it appears at its new place. Should that fail, it comes back.
"""

from __future__ import annotations

from contextlib import suppress

from actors.handlers import copies
from actors.handlers.effect import Effect, Ground
from actors.handlers.folders import open_scope
from backends.contract import Operation
from backends.powers import LimitsFolders, MovesFolders, WithdrawsFolders
from domain.commands import AbandonMigration, FinishMigration, MigrateVFolder, WithdrawVFolder
from domain.errors import InvalidRequestError, NotFoundError, Subject, UnsupportedError
from domain.events import (
    MigrationAbandoned,
    MigrationAccepted,
    VFolderMigrated,
    VFolderQuotaUpdated,
    VFolderWithdrawn,
)
from domain.ids import VFolderId
from domain.usage import Quota


async def migrate_vfolder(command: MigrateVFolder, op: Operation, ground: Ground) -> Effect:
    """Move a folder inside its volume at once, or have a worker copy it from another one."""
    volume = ground.volume
    here = command.source_volume in (None, volume.name)
    if here and command.source == command.destination:
        raise InvalidRequestError("it is there already", field="dst_vfid")
    if here:
        return await _move(command, op, ground)
    before = await open_scope(command.destination, op, ground)
    accepted = MigrationAccepted(**await copies.begin(command, op, ground))
    return Effect([*before, accepted], {"task": str(op.id)})


async def _move(command: MigrateVFolder, op: Operation, ground: Ground) -> Effect:
    volume = ground.volume
    if not isinstance(volume, MovesFolders):
        raise UnsupportedError(f"backend {volume.backend} cannot move folders", subject=Subject.VFOLDER)
    more = 0
    if command.source.scope != command.destination.scope:
        with suppress(NotFoundError):  # it may have gone there before this was repeated
            more = (await volume.usage(command.source, staging=False)).file_bytes
    before = await open_scope(command.destination, op, ground, more)
    await volume.move_folder(op, command.source, command.destination)
    moved = VFolderMigrated(volume=volume.name, source=command.source, destination=command.destination)
    return Effect([*before, moved, *await _limits(command.destination, ground)])


async def _limits(folder: VFolderId, ground: Ground) -> list[VFolderQuotaUpdated]:
    """The limits a folder has taken with it."""
    volume = ground.volume
    quota = await volume.folder_quota(folder) if isinstance(volume, LimitsFolders) else Quota()
    if quota == Quota():
        return []
    limits = {"limit_bytes": quota.limit_bytes, "soft_bytes": quota.soft_bytes}
    return [VFolderQuotaUpdated(volume=volume.name, folder=folder, **limits)]


async def withdraw_vfolder(command: WithdrawVFolder, op: Operation, ground: Ground) -> Effect:
    """Take a folder from its place while the last of it is copied."""
    volume = ground.volume
    if not isinstance(volume, WithdrawsFolders):
        raise UnsupportedError(f"folders of backend {volume.backend} stay there", subject=Subject.VFOLDER)
    await volume.withdraw_folder(op, command.folder, command.task)
    event = VFolderWithdrawn(
        volume=volume.name,
        folder=command.folder,
        trash=op.id,
        task=command.task,
        destination=command.destination,
        destination_volume=command.destination_volume,
    )
    return Effect([event])


async def finish_migration(command: FinishMigration, op: Operation, ground: Ground) -> Effect:
    """Put what a worker has copied at its place."""
    told, there = await copies.finish(command, op, ground)
    if not there:
        return Effect([MigrationAbandoned(**told)], {"migrated": False})
    if isinstance(ground.volume, LimitsFolders):
        await ground.volume.set_folder_quota(op, command.destination, command.limit_bytes, command.soft_bytes)
    return Effect([VFolderMigrated(**told), *await _limits(command.destination, ground)], {"migrated": True})


async def abandon_migration(command: AbandonMigration, op: Operation, ground: Ground) -> Effect:
    """Take away what a worker has copied."""
    return Effect([MigrationAbandoned(**await copies.abandon(command, op, ground))])
