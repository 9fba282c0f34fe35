"""Reading tasks of the catalogue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from bus.contract import Catalogue
from domain.errors import NotFoundError, Subject
from domain.tasks import ALL_TASKS, TaskRecord, task_record


@dataclass(frozen=True, slots=True)
class TaskPage:
    """Some tasks, in the order they began."""

    tasks: Sequence[TaskRecord]
    #: Where the next page begins; None: there is no other.
    cursor: str | None


async def task_page(catalogue: Catalogue, *, cursor: str, limit: int) -> TaskPage:
    """Read a page of tasks."""
    members = await catalogue.page(ALL_TASKS, after=cursor, limit=limit)
    records = await catalogue.fields([task_record(UUID(member)) for member in members])
    found = [
        TaskRecord.parse(UUID(member), fields)
        for member, fields in zip(members, records, strict=True)
        # One that is just being forgotten, or whose beginning nobody has told, has no kind.
        if fields is not None and "kind" in fields
    ]
    return TaskPage(found, members[-1] if len(members) == limit else None)


async def find_task(catalogue: Catalogue, task: UUID) -> TaskRecord:
    """Read one task. Raises NotFoundError (subject task)."""
    (fields,) = await catalogue.fields([task_record(task)])
    if fields is None or "kind" not in fields:
        raise NotFoundError(f"{task}: no such task", subject=Subject.TASK)
    return TaskRecord.parse(task, fields)
