"""What clones and migrations have in common: a copy is begun, made by a worker, put at its place or given up."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from actors.handlers.before import is_being_copied
from actors.handlers.effect import Ground
from backends.contract import Operation, Volume
from backends.powers import BuildPlan, BuildsFolders
from domain.commands import (
    AbandonClone,
    AbandonMigration,
    FinishClone,
    FinishMigration,
    MigrateVFolder,
    RequestClone,
)
from domain.errors import ConflictError, NotFoundError, Subject, UnsupportedError
from domain.ids import VolumeName
from domain.messages import Reason
from domain.paths import ROOT


async def begin(command: RequestClone | MigrateVFolder, op: Operation, ground: Ground) -> dict[str, Any]:
    """Have a worker make a copy; what is told of it."""
    builder, here = _builder_of(ground.volume), VolumeName(ground.volume.name)
    source_volume = command.source_volume or here
    if source_volume == here and not await is_being_copied(op, ground.volume):
        await ground.volume.files(command.source).stat(ROOT)
    moves = isinstance(command, MigrateVFolder)
    plan = BuildPlan(op.id, source_volume, command.source, command.destination, command.verify, moves=moves)
    await builder.begin_build(op, plan)
    return {**_names(command, ground), "task": op.id}


async def finish(
    command: FinishClone | FinishMigration, op: Operation, ground: Ground
) -> tuple[dict[str, Any], bool]:
    """Put a copy at its place; what is told of it, and whether it is there."""
    builder, names = _builder_of(ground.volume), {**_names(command, ground), "task": command.task}
    try:
        await builder.finish_build(op, command.task, command.attempt, command.destination)
    except ConflictError as error:
        # Somebody has made the destination meanwhile. Trying again would end here for ever.
        await _drop(builder, op, command.task)
        return {**names, "code": error.code, "retry": error.retry, "detail": error.message}, False
    return {**names, "entries": command.entries, "size_bytes": command.size_bytes}, True


async def abandon(command: AbandonClone | AbandonMigration, op: Operation, ground: Ground) -> dict[str, Any]:
    """Take away what was copied; what is told of it."""
    await _drop(_builder_of(ground.volume), op, command.task)
    reason = command.model_dump(include=set(Reason.model_fields))
    return {**_names(command, ground), "task": command.task, **reason}


async def _drop(builder: BuildsFolders, op: Operation, task: UUID) -> None:
    """Take away what was copied. Raises NotFoundError: it has come to its end, perhaps by another attempt."""
    if not await builder.drop_build(op, task):
        raise NotFoundError(f"{task}: it is over", subject=Subject.TASK)


def _builder_of(volume: Volume) -> BuildsFolders:
    """The volume, if copies can be made on it."""
    if not isinstance(volume, BuildsFolders):
        raise UnsupportedError(f"backend {volume.backend} cannot clone folders", subject=Subject.VFOLDER)
    return volume


def _names(
    command: RequestClone | FinishClone | AbandonClone | MigrateVFolder | FinishMigration | AbandonMigration,
    ground: Ground,
) -> dict[str, Any]:
    names = command.model_dump(include={"source", "destination", "source_volume"})
    return {**names, "volume": ground.volume.name}
