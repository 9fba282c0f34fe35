"""Commands that are accepted at once and end in events, also those for volumes that are not here.

Backend.AI's manager changes the state of a folder before it has it deleted or cloned, and hears by an event how
that ended. An error as the answer would leave the folder in that state for good: there is an event in any case.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from uuid import UUID

from aiohttp import web

from domain.commands import DeleteFiles, DeleteVFolder, RequestClone
from domain.errors import InvalidRequestError, NotFoundError, PenstockError, Retry, Subject
from domain.events import CloneFailed, CommandFailed, FilesDeleteFailed, VFolderDeleteFailed
from domain.ids import VolumeName
from domain.messages import Command
from gateway.gate import Gate
from gateway.manager.unmanaged import is_unmanaged
from gateway.middlewares import asker_of

_FAILED: Final[Mapping[type[Command], type[CommandFailed]]] = {
    DeleteVFolder: VFolderDeleteFailed,
    DeleteFiles: FilesDeleteFailed,
    RequestClone: CloneFailed,
}


async def accept(gate: Gate, request: web.Request, command: Command, *volumes: str) -> UUID:
    """Have a command accepted by the first of the volumes it is about; returns its id.

    Raises as `Commander.tell`; NotFoundError (subject volume) for what cannot be the name of one.
    """
    name = volume_name(volumes[0])
    for volume in volumes:
        if volume not in gate.volumes:
            return await _fail(gate, request, command, name, _reason(gate, command, volume))
    return await gate.commander.tell(name, command, asker_of(request))


async def _fail(
    gate: Gate, request: web.Request, command: Command, name: VolumeName, reason: PenstockError
) -> UUID:
    """Tell that a command has failed because one of its volumes is not here."""
    asker = asker_of(request)
    envelope = await gate.commander.wrap(name, command, asker)
    failed = _FAILED[type(command)]
    event = failed(
        volume=name,
        subject=command.key,
        code=reason.code,
        retry=Retry.NEVER,
        detail=reason.message,
        **failed.of(command),
    )

    async def tell() -> str:
        await gate.bus.events.publish(envelope.caused(event, 0, gate.bus.clock.now()))
        # What nobody owns nobody else trims.
        await gate.bus.upkeep.trim(name)
        return str(envelope.id)

    return UUID(await gate.commander.once(asker, tell))


def _reason(gate: Gate, command: Command, volume: str) -> PenstockError:
    if not is_unmanaged(gate, volume):
        return InvalidRequestError(f"{volume}: no such volume", subject=Subject.VOLUME)
    if isinstance(command, DeleteVFolder):
        # Nothing of an unmanaged folder is here, so its manager may forget it.
        return NotFoundError("an unmanaged folder is on no volume", subject=Subject.VFOLDER)
    return InvalidRequestError("unmanaged folders are not read or changed from here", subject=Subject.VFOLDER)


def volume_name(volume: str) -> VolumeName:
    """The name of a volume, here or not. Raises NotFoundError (subject volume) for what cannot be one."""
    try:
        return VolumeName(volume)
    except InvalidRequestError as error:
        raise NotFoundError(volume[:80], subject=Subject.VOLUME) from error
