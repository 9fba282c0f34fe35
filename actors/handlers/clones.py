"""Clones: begun here, copied by a worker, put at their place or given up here."""

from __future__ import annotations

from typing import Any

from actors.handlers.effect import Effect, Ground
from actors.handlers.folders import open_scope
from backends.contract import Operation, Volume
from backends.powers import BuildPlan, BuildsFolders, ClonesFolders
from domain.commands import AbandonClone, AbandonMigration, FinishClone, FinishMigration, RequestClone
from domain.errors import (
    ConflictError,
    InvalidRequestError,
    NotFoundError,
    PenstockError,
    Subject,
    UnsupportedError,
)
from domain.events import CloneAbandoned, CloneAccepted, CloneCompleted
from domain.ids import VolumeName
from domain.paths import ROOT


async def request_clone(command: RequestClone, op: Operation, ground: Ground) -> Effect:
    """Copy a folder by the storage's own means, or have a worker copy it."""
    volume = ground.volume
    here = command.source_volume in (None, volume.name)
    if here and command.source == command.destination:
        raise InvalidRequestError("a folder cannot be cloned onto itself", field="dst_vfid")
    before = await open_scope(command.destination, op, ground)
    if here and isinstance(volume, ClonesFolders):
        await volume.clone_folder(op, command.source, command.destination)
        done = CloneCompleted(volume=volume.name, source=command.source, destination=command.destination)
        return Effect([*before, done])
    builder = builder_of(volume)
    if here:
        await volume.files(command.source).stat(ROOT)
    source_volume = command.source_volume or VolumeName(volume.name)
    plan = BuildPlan(op.id, source_volume, command.source, command.destination, command.verify)
    await builder.begin_build(op, plan)
    accepted = CloneAccepted(
        volume=volume.name,
        source=command.source,
        destination=command.destination,
        source_volume=command.source_volume,
        task=op.id,
    )
    return Effect([*before, accepted])


async def finish_clone(command: FinishClone, op: Operation, ground: Ground) -> Effect:
    """Put what a worker has copied at its place."""
    builder = builder_of(ground.volume)
    try:
        await builder.finish_build(op, command.task, command.attempt, command.destination)
    except ConflictError as error:
        # Somebody has made the destination meanwhile. Trying again would end here for ever.
        await builder.drop_build(op, command.task)
        return Effect([CloneAbandoned(**given_up(command, ground, error))])
    done = CloneCompleted(
        volume=ground.volume.name,
        source=command.source,
        destination=command.destination,
        source_volume=command.source_volume,
        task=command.task,
        entries=command.entries,
        size_bytes=command.size_bytes,
        changed=command.changed,
    )
    return Effect([done])


async def abandon_clone(command: AbandonClone, op: Operation, ground: Ground) -> Effect:
    """Take away what a worker has copied."""
    if not await builder_of(ground.volume).drop_build(op, command.task):
        raise NotFoundError(f"{command.task}: it is over", subject=Subject.TASK)
    return Effect([CloneAbandoned(**given_up(command, ground))])


def given_up(
    command: FinishClone | AbandonClone | FinishMigration | AbandonMigration,
    ground: Ground,
    error: PenstockError | None = None,
) -> dict[str, Any]:
    """What is told of a copy that will not be: with the error that ended it, or with the worker's words."""
    known: dict[str, Any] = {}
    if error is not None:
        known = {"code": error.code, "retry": error.retry, "detail": error.message}
    if isinstance(command, AbandonClone | AbandonMigration):
        known = {"code": command.code, "retry": command.retry, "detail": command.detail}
    names = command.model_dump(include={"source", "destination", "source_volume", "task"})
    return {**names, "volume": ground.volume.name, **known}


def builder_of(volume: Volume) -> BuildsFolders:
    if not isinstance(volume, BuildsFolders):
        raise UnsupportedError(f"backend {volume.backend} cannot clone folders", subject=Subject.VFOLDER)
    return volume
