"""What the command line does with tasks."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import anyio

from bus.contract import Bus
from bus.streams import open_streams_bus
from bus.task_pages import find_task, task_page
from domain.envelope import Origin, wrap_command
from domain.failures import error_of
from domain.ids import VolumeName
from domain.messages import Command
from domain.task_commands import CancelTask, StartTask
from domain.tasks import TaskRecord
from ops.settings import Settings

#: Name of the command line among the bus's members; it owns nothing, so it need not be unique.
_NODE = "operator"
_PAGE = 500
#: How often a task that is waited for is looked at, in seconds.
_LOOK_SECONDS = 0.2


async def task_rows(settings: Settings, volume: VolumeName | None) -> list[dict[str, Any]]:
    """Tasks, a row each."""
    rows: list[dict[str, Any]] = []
    async with open_streams_bus(settings.bus, _NODE) as bus:
        cursor: str | None = ""
        while cursor is not None:
            page = await task_page(bus.catalogue, cursor=cursor, limit=_PAGE)
            rows += [_task_row(task) for task in page.tasks if volume in (None, task.volume)]
            cursor = page.cursor
    return rows


def _task_row(task: TaskRecord) -> dict[str, Any]:
    return {
        "task": str(task.id),
        "kind": task.kind.value,
        "volume": str(task.volume),
        "vfid": str(task.folder) if task.folder else None,
        "state": task.state.value,
        "items": f"{task.items}/{task.items_total}" if task.items_total else str(task.items),
        "bytes": f"{task.size_bytes}/{task.size_bytes_total}" if task.size_bytes_total else str(task.size_bytes),
        "began": datetime.fromtimestamp(task.began, UTC).isoformat(timespec="seconds"),
        "message": task.message or None,
    }


async def cancel_task(settings: Settings, task: UUID) -> None:
    """Have a task end before it is done.

    Raises:
        NotFoundError: there is no such task.
        ConflictError: it is over, or a deletion.
    """
    async with open_streams_bus(settings.bus, _NODE) as bus:
        found = await find_task(bus.catalogue, task)
        found.check_cancellable()
        await _ask(bus, settings, found.volume, CancelTask(task=task))


async def start_task(
    settings: Settings, volume: VolumeName, command: StartTask, show: Callable[[TaskRecord], None] | None
) -> TaskRecord:
    """Have something done in the background.

    Args:
        show: told how far it is until it is over; None: it is not waited for.

    Raises:
        NotFoundError: no such volume is configured: nobody would ever take the command.
        PenstockError: as the actor refused it.
    """
    settings.chosen(volume)
    async with open_streams_bus(settings.bus, _NODE) as bus:
        answer = await _ask(bus, settings, volume, command)
        task = UUID(str(answer["task"]))
        found = await find_task(bus.catalogue, task)
        while show is not None and not found.state.is_over:
            show(found)
            await anyio.sleep(_LOOK_SECONDS)
            found = await find_task(bus.catalogue, task)
    return found


async def _ask(bus: Bus, settings: Settings, volume: VolumeName, command: Command) -> Mapping[str, Any]:
    clock = bus.clock
    envelope = wrap_command(command, id=clock.new_id(), volume=volume, time=clock.now(), origin=Origin(actor=_NODE))
    reply = await bus.commands.request(envelope, timeout_seconds=settings.gateway.command_seconds)
    if reply.failure is not None:
        raise error_of(reply.failure)
    return reply.result


def task_outcome(task: TaskRecord) -> list[dict[str, Any]]:
    """What a task has found, a row each; or the task itself."""
    result = json.loads(task.result) if task.result else {}
    for value in result.values():
        if isinstance(value, list):
            return [dict(row) for row in value]
    return [{**_task_row(task), **result}]
