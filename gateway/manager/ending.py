"""Waiting for the end of a clone."""

from __future__ import annotations

from typing import Final
from uuid import UUID

import anyio

from bus.contract import Broadcasted, Gap
from bus.task_pages import find_task
from domain.commands import RequestClone
from domain.envelope import Failure
from domain.errors import ConflictError, DeadlineExceededError, ErrorCode, PenstockError, Retry, Subject
from domain.events import CloneAbandoned, CloneCompleted
from domain.failures import error_of
from domain.ids import VolumeName
from domain.registry import open_event
from domain.tasks import TaskState
from gateway.commands import Asker
from gateway.gate import Gate

#: Events that tell how a clone ended.
_ENDS: Final = frozenset({CloneCompleted.type, CloneAbandoned.type})


async def clone_and_wait(gate: Gate, volume: VolumeName, command: RequestClone, asker: Asker) -> UUID | None:
    """Have a folder cloned, and return when the clone is there; returns the task's id, if there was one.

    Raises:
        PenstockError: as `Commander.ask`, or as the clone ended.
        DeadlineExceededError: it takes longer than a request waits, and goes on.
    """
    end = anyio.current_time() + gate.settings.command_seconds
    async with gate.bus.events.watch(types=_ENDS) as ends:
        answer = await gate.commander.ask(volume, command, asker)
        if "task" not in answer:
            return None
        task = UUID(str(answer["task"]))
        if await _is_over(gate, task):
            return task
        with anyio.move_on_after(max(end - anyio.current_time(), 0)):
            async for item in ends:
                if await _is_the_end(gate, task, item):
                    return task
    raise DeadlineExceededError(f"the clone goes on as task {task}", subject=Subject.TASK)


async def _is_the_end(gate: Gate, task: UUID, item: Broadcasted | Gap) -> bool:
    if isinstance(item, Gap):
        return await _is_over(gate, task)
    event = open_event(item.envelope)
    if isinstance(event, CloneAbandoned) and event.task == task:
        raise _failed(event.code, event.detail)
    return isinstance(event, CloneCompleted) and event.task == task


def _failed(code: str | None, detail: str) -> PenstockError:
    if not code:
        return ConflictError(detail or "the clone was cancelled", subject=Subject.TASK)
    return error_of(Failure(ErrorCode(code), Retry.NEVER, detail, Subject.VFOLDER))


async def _is_over(gate: Gate, task: UUID) -> bool:
    """Whether the clone is there; raises as it ended if it never will be."""
    known = await find_task(gate.bus.catalogue, task)
    if known.state.is_over and known.state is not TaskState.DONE:
        raise _failed(known.code, known.message)
    return known.state.is_over
