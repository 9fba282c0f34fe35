"""What becomes of a folder that was taken from its place for a migration: it is purged, or comes back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from actors.jobs.running import derived_id
from backends.contract import TrashEntry
from bus.contract import Bus
from domain.catalogue import FolderStatus, status_record
from domain.commands import PurgeVFolder, RestoreVFolder
from domain.envelope import Origin, wrap_command
from domain.ids import VolumeName
from domain.tasks import TaskState, task_record

#: A settlement that failed, because something else is at the folder's place, is tried again so often, in seconds.
_AGAIN_SECONDS: Final = 3600.0


async def settle(bus: Bus, entry: TrashEntry, volume: VolumeName, *, migrated: bool) -> None:
    """Have what is kept purged, or put back; the same wish is heard once."""
    now = bus.clock.now()
    kind = PurgeVFolder if migrated else RestoreVFolder
    command = kind(folder=entry.folder, trash=entry.id, task=entry.held)
    id_ = derived_id(entry.id, f"{command.type}:{int(now // _AGAIN_SECONDS)}")
    origin = Origin(actor="worker", cause=entry.held)
    await bus.commands.publish(wrap_command(command, id=id_, volume=volume, time=now, origin=origin))


async def settle_if_over(bus: Bus, entry: TrashEntry, volume: VolumeName) -> None:
    """Settle it if the migration it was for is over, and whoever did it has not come to that."""
    if entry.held is None:
        return
    status, task = await bus.catalogue.fields([status_record(entry.folder, volume), task_record(entry.held)])
    migrated = _has_migrated(status or {}, task or {}, str(entry.held))
    if migrated is not None:
        await settle(bus, entry, volume, migrated=migrated)


def _has_migrated(status: Mapping[str, str], task: Mapping[str, str], held: str) -> bool | None:
    """Whether it is at its new place; None: it is not over, or nobody can tell.

    The task knows best: that the folder was taken is told late, or never, by an owner that died meanwhile.
    """
    state = TaskState(task.get("state", TaskState.RUNNING))
    if state.is_over:
        return state is TaskState.DONE
    if status.get("task") != held:
        return None
    if status.get("status") == FolderStatus.DELETING:
        return True
    # The task of one that ended well may be forgotten, but then its folder's status says so.
    return None if task else False
