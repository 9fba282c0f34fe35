"""What goes on after it was asked for."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from pydantic import Field, JsonValue

from domain.tasks import TaskKind, TaskState
from gateway.openapi.answers.answer import Answer, Count, FolderText


class AcceptedJob(Answer):
    """It was accepted and goes on in the background."""

    bgtask_id: UUID = Field(description="id of the task, of its events, and of the command")


class StartedTask(Answer):
    """It was accepted and goes on in the background."""

    task_id: UUID


class DoneAtOnce(Answer):
    """It is done, and there is no task."""

    task_id: None


class Task(Answer):
    """How far a task is."""

    task_id: UUID
    kind: TaskKind
    volume: str
    vfid: FolderText | None = Field(description="the folder it is done with; null: all of the volume")
    source: str | None = Field(description="what is copied")
    source_volume: str | None
    state: TaskState
    cancelling: bool = Field(description="whether it is to end before all of it is done")
    message: str | None = Field(description="why it failed")
    result: JsonValue = Field(description="what was found, as its kind tells it")
    began: datetime
    changed: datetime
    items: Count = Field(description="entries dealt with")
    items_total: Count | None
    bytes: Count = Field(description="bytes dealt with")
    bytes_total: Count | None
    bytes_per_second: Count | None
    remaining_seconds: float | None = Field(description="at the rate so far; null: nobody can tell")


class TaskPage(Answer):
    """Some tasks, in the order they began."""

    items: list[Task]
    next_cursor: str | None = Field(description="`cursor` of the next page; null: this was the last")
