"""The bridge to Backend.AI's manager."""

from __future__ import annotations

from pathlib import Path

import anyio

from backends.powers import Mountable
from bus.backendai.bridge import Bridge
from bus.backendai.mounts import Mounts
from bus.backendai.peer import Peer
from bus.backendai.programs import MountPrograms
from domain.errors import InvalidRequestError
from ops.generations import Turn
from ops.roles.parts import opened
from ops.roles.ports import internal_port
from ops.settings import Settings


async def run(settings: Settings, turn: Turn) -> None:
    """Carry events to Backend.AI's manager, and answer its wishes for mounts, until its turn ends.

    Raises:
        InvalidRequestError: it is not said where Backend.AI's Redis is.
    """
    wanted = settings.backendai
    reached = wanted.reached_by(settings.bus)
    if reached is None:
        raise InvalidRequestError("backendai.url is needed: there is nobody to carry events to")
    programs = MountPrograms(wanted.mount_program, wanted.unmount_program, wanted.mount_seconds)
    async with opened(settings, "bridge", turn) as parts, internal_port(parts, settings.internal.bridge) as health:
        places = {str(name): Path(v.mount_path) for name, v in parts.volumes.items() if isinstance(v, Mountable)}
        peer = Peer(reached)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(peer.run)
            tasks.start_soon(Bridge(parts.bus, peer, wanted.source).run)
            tasks.start_soon(Mounts(peer, wanted.source, places, programs).run)
            with health.serving():
                await turn.stop.wait()
            tasks.cancel_scope.cancel()
