"""Clones: begun here, copied by a worker, put at their place or given up here."""

from __future__ import annotations

from actors.handlers import copies
from actors.handlers.effect import Effect, Ground
from actors.handlers.folders import open_scope
from backends.contract import Operation
from backends.powers import ClonesFolders
from domain.commands import AbandonClone, FinishClone, RequestClone
from domain.errors import InvalidRequestError
from domain.events import CloneAbandoned, CloneAccepted, CloneCompleted


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
    accepted = CloneAccepted(**await copies.begin(command, op, ground))
    return Effect([*before, accepted], {"task": str(op.id)})


async def finish_clone(command: FinishClone, op: Operation, ground: Ground) -> Effect:
    """Put what a worker has copied at its place."""
    told, there = await copies.finish(command, op, ground)
    if not there:
        return Effect([CloneAbandoned(**told)])
    return Effect([CloneCompleted(**told, changed=command.changed)])


async def abandon_clone(command: AbandonClone, op: Operation, ground: Ground) -> Effect:
    """Take away what a worker has copied."""
    return Effect([CloneAbandoned(**await copies.abandon(command, op, ground))])
