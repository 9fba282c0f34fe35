"""Tasks: written down here, done by a worker, ended here."""

from __future__ import annotations

from actors.handlers.effect import Effect, Ground
from backends.contract import Operation, Volume
from backends.powers import KeepsWork, Work
from domain.errors import NotFoundError, Subject, UnsupportedError
from domain.paths import ROOT
from domain.task_commands import AbandonTask, CancelTask, FinishTask, StartTask
from domain.task_events import TaskAbandoned, TaskAccepted, TaskCancelRequested, TaskCompleted
from domain.work import read_options


async def start_task(command: StartTask, op: Operation, ground: Ground) -> Effect:
    """Write down what is to be done."""
    options = read_options(command.kind, command.options, command.folder)
    keeper = _keeper(ground.volume)
    if command.folder is not None:
        await ground.volume.files(command.folder).stat(ROOT)
    await keeper.begin_work(op, Work(op.id, command.kind, command.folder, options.model_dump(mode="json")))
    accepted = TaskAccepted(volume=ground.volume.name, task=op.id, kind=command.kind, folder=command.folder)
    return Effect([accepted], {"task": str(op.id)})


async def finish_task(command: FinishTask, op: Operation, ground: Ground) -> Effect:
    """Take a task off the list: it is done."""
    work = await _end(ground, op, command)
    done = TaskCompleted(
        volume=ground.volume.name,
        task=work.id,
        kind=work.kind,
        folder=work.folder,
        items=command.items,
        size_bytes=command.size_bytes,
        result=command.result,
    )
    return Effect([done])


async def abandon_task(command: AbandonTask, op: Operation, ground: Ground) -> Effect:
    """Take a task off the list: it will not be done."""
    work = await _end(ground, op, command)
    abandoned = TaskAbandoned(
        volume=ground.volume.name,
        task=work.id,
        kind=work.kind,
        folder=work.folder,
        code=command.code,
        retry=command.retry,
        detail=command.detail,
    )
    return Effect([abandoned])


async def cancel_task(command: CancelTask, op: Operation, ground: Ground) -> Effect:
    """Let it be known that a task is to end; whoever does it looks at its record."""
    del op
    return Effect([TaskCancelRequested(volume=ground.volume.name, task=command.task)])


async def _end(ground: Ground, op: Operation, command: FinishTask | AbandonTask) -> Work:
    work = await _keeper(ground.volume).end_work(op, command.task)
    if work is None:
        raise NotFoundError(f"{command.task}: it is over", subject=Subject.TASK)
    return work


def _keeper(volume: Volume) -> KeepsWork:
    if not isinstance(volume, KeepsWork):
        raise UnsupportedError(f"backend {volume.backend} keeps no list of tasks", subject=Subject.VOLUME)
    return volume
