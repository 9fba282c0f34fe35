"""Events about tasks."""

from __future__ import annotations

from uuid import UUID

from pydantic import Field, JsonValue

from domain.events import CommandFailed
from domain.ids import VFolderId
from domain.messages import Event, Reason
from domain.tasks import TaskKind


class _TaskEvent(Event):
    task: UUID = Field(description="id of the task: the id of the command that began it")


class TaskProgressed(_TaskEvent):
    """How far a task is. Published once a second at most."""

    type = "task.progressed"
    publisher = "the worker that does it"

    items: int = Field(description="entries dealt with so far")
    items_total: int = Field(description="entries there are, as counted at the beginning; 0: not counted")
    size_bytes: int = Field(description="bytes dealt with so far")
    size_bytes_total: int = Field(description="bytes there are, as counted at the beginning; 0: not counted")


class TaskCancelRequested(_TaskEvent):
    """A task is to end before it is done; how it ends is told by its own events."""

    type = "task.cancel.requested"


class _WorkEvent(_TaskEvent):
    kind: TaskKind = Field(description="what it does")
    folder: VFolderId | None = Field(None, description="the folder it is done with; absent: all of the volume")


class TaskAccepted(_WorkEvent):
    """A task is there, and will be done."""

    type = "task.accepted"


class TaskCompleted(_WorkEvent):
    """All of a task is done."""

    type = "task.completed"

    items: int = Field(description="entries dealt with")
    size_bytes: int = Field(description="bytes dealt with")
    result: dict[str, JsonValue] = Field(default_factory=dict, description="what was found, as its kind tells it")


class TaskAbandoned(Reason, _WorkEvent):
    """A task has ended before all of it was done."""

    type = "task.abandoned"


class TaskStartFailed(CommandFailed):
    """`task.start` failed."""

    type = "task.start.failed"


class TaskFinishFailed(CommandFailed):
    """`task.finish` failed."""

    type = "task.finish.failed"


class TaskAbandonFailed(CommandFailed):
    """`task.abandon` failed."""

    type = "task.abandon.failed"


class TaskCancelFailed(CommandFailed):
    """`task.cancel` failed."""

    type = "task.cancel.failed"
