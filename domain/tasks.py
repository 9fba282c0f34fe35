"""Tasks: work that goes on after its command was accepted, as the catalogue knows it.

A task has the id of the command that began it. Its record is `task:<id>`; `index:tasks` has every task that is
kept, `<id>` in the order they began; `index:tasks:ended` has `<Unix time, 12 digits>:<id>` of those that are over.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Self
from uuid import UUID

from domain.errors import ConflictError, Subject
from domain.ids import VFolderId, VolumeName

#: Index of every task that is kept.
ALL_TASKS: Final = "index:tasks"
#: Index of those that are over, by when that was.
ENDED_TASKS: Final = "index:tasks:ended"


class TaskKind(StrEnum):
    """What a task does."""

    CLONE = "clone"
    MIGRATE = "vfolder.migrate"
    DELETE_FOLDER = "vfolder.delete"
    DELETE_FILES = "files.delete"
    SCAN = "usage.scan"
    INSPECT = "volume.inspect"
    SCRUB = "files.scrub"
    PRUNE = "snapshots.prune"

    @property
    def is_cancellable(self) -> bool:
        """Whether it can end before all of it is done."""
        return self not in (TaskKind.DELETE_FOLDER, TaskKind.DELETE_FILES)


class TaskState(StrEnum):
    """How far a task is."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen."""
        return self is not TaskState.RUNNING


def task_record(task: UUID) -> str:
    """Name of a task's record."""
    return f"task:{task}"


def ended_member(task: UUID, time: float) -> str:
    """How a task stands among those that are over."""
    return f"{int(time):012d}:{task}"


def parse_ended_member(member: str) -> tuple[UUID, float]:
    """Read a member of `ENDED_TASKS`: the task, and when it was over; the inverse of `ended_member`."""
    time, _, task = member.partition(":")
    return UUID(task), float(time)


@dataclass(frozen=True, slots=True)
class TaskRecord:
    """One task."""

    id: UUID
    kind: TaskKind
    volume: VolumeName
    #: None: it is done with all of the volume.
    folder: VFolderId | None
    state: TaskState
    #: Unix times.
    began: float
    changed: float
    items: int = 0
    items_total: int = 0
    size_bytes: int = 0
    size_bytes_total: int = 0
    #: For a clone: what is copied, and where from.
    source: str = ""
    source_volume: str = ""
    #: Whether somebody wants it to end before it is done.
    cancelling: bool = False
    #: Why it failed, in words.
    message: str = ""
    #: And by its code; empty: that is not known.
    code: str = ""
    #: What was found, as JSON; empty: nothing is told.
    result: str = ""

    @classmethod
    def parse(cls, task: UUID, fields: Mapping[str, str]) -> Self:
        """Read the fields of a task's record."""
        return cls(
            id=task,
            kind=TaskKind(fields["kind"]),
            volume=VolumeName(fields["volume"]),
            folder=VFolderId.parse(fields["folder"]) if fields["folder"] else None,
            state=TaskState(fields["state"]),
            began=float(fields["began"]),
            changed=float(fields["changed"]),
            items=int(fields.get("items", 0)),
            items_total=int(fields.get("items_total", 0)),
            size_bytes=int(fields.get("size_bytes", 0)),
            size_bytes_total=int(fields.get("size_bytes_total", 0)),
            source=fields.get("source", ""),
            source_volume=fields.get("source_volume", ""),
            cancelling=bool(int(fields.get("cancelling", 0))),
            message=fields.get("message", ""),
            code=fields.get("code", ""),
            result=fields.get("result", ""),
        )

    def check_cancellable(self) -> None:
        """Raise ConflictError if the task cannot be made to end before it is done."""
        if self.state.is_over:
            raise ConflictError(f"it is over: {self.state}", subject=Subject.TASK, reason="over")
        if not self.kind.is_cancellable:
            raise ConflictError("what is deleted cannot be taken back", subject=Subject.TASK, reason="deletion")

    @property
    def wanted_bytes(self) -> int:
        """Bytes it will have taken once it is done, as far as is known; 0: it is over."""
        return 0 if self.state.is_over else max(self.size_bytes_total, self.size_bytes)

    @property
    def remaining_seconds(self) -> float | None:
        """How long it may still take, at the rate so far; None: nobody can tell."""
        done, total = self.size_bytes or self.items, self.size_bytes_total or self.items_total
        spent = self.changed - self.began
        if self.state.is_over or not done or not total or spent <= 0:
            return None
        return max(total - done, 0) / (done / spent)
