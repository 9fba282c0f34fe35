"""Commands about tasks: work that goes on after it was asked for."""

from __future__ import annotations

from uuid import UUID

from pydantic import Field, JsonValue

from domain.ids import VFolderId
from domain.messages import Command, Reason
from domain.tasks import TaskKind


class StartTask(Command):
    """Have a worker do something that takes long, with one folder or the whole volume."""

    type = "task.start"

    kind: TaskKind = Field(description="what is to be done")
    folder: VFolderId | None = Field(None, description="the folder it is done with; absent: all of the volume")
    options: dict[str, JsonValue] = Field(default_factory=dict, description="how, as its kind understands it")

    @property
    def key(self) -> str:
        return str(self.folder) if self.folder else f"task:{self.kind}"


class _TaskCommand(Command):
    task: UUID = Field(description="id of the task: the id of the command that began it")

    @property
    def key(self) -> str:
        return f"task:{self.task}"


class FinishTask(_TaskCommand):
    """Report that all of a task is done."""

    type = "task.finish"
    publisher = "the worker that did it"

    items: int = Field(ge=0, description="entries dealt with")
    size_bytes: int = Field(0, ge=0, description="bytes dealt with")
    result: dict[str, JsonValue] = Field(default_factory=dict, description="what was found, as its kind tells it")


class AbandonTask(Reason, _TaskCommand):
    """Give a task up: it was cancelled, or cannot be done."""

    type = "task.abandon"
    publisher = "the worker that did it"


class CancelTask(_TaskCommand):
    """Have a task end before it is done; what it has made so far is removed."""

    type = "task.cancel"
