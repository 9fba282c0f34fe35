"""Tasks: what goes on in the background, how far it is, and having it end."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from aiohttp import web
from pydantic import Field

from bus.task_pages import find_task, task_page
from domain.commands import CancelTask
from domain.errors import NotFoundError, Subject
from domain.tasks import TaskRecord
from gateway.gate import Gate
from gateway.middlewares import asker_of
from gateway.parameters import Parameters, Text, read_query


class ListParameters(Parameters):
    """Which tasks, and from where on."""

    volume: Text | None = None
    cursor: str = Field("", max_length=64)
    limit: int = Field(100, ge=1, le=1000)


class TaskRoutes:
    """`/tasks`."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    def routes(self) -> list[web.RouteDef]:
        """What this serves."""
        return [
            web.get("/tasks", self.tasks, allow_head=False),
            web.get("/tasks/{task}", self.task, allow_head=False),
            web.delete("/tasks/{task}", self.cancel),
        ]

    async def tasks(self, request: web.Request) -> web.Response:
        """List tasks in the order they began, page by page; they are kept for some time after their end."""
        parameters = read_query(request, ListParameters)
        volume = self._gate.volume(parameters.volume).name if parameters.volume is not None else None
        page = await task_page(self._gate.bus.catalogue, cursor=parameters.cursor, limit=parameters.limit)
        items = [_told(task) for task in page.tasks if volume in (None, task.volume)]
        return web.json_response({"items": items, "next_cursor": page.cursor})

    async def task(self, request: web.Request) -> web.Response:
        """Tell how far a task is."""
        return web.json_response(_told(await self._find(request)))

    async def cancel(self, request: web.Request) -> web.Response:
        """Have a clone end before it is done. What was deleted stays deleted."""
        task = await self._find(request)
        task.check_cancellable()
        await self._gate.commander.ask(task.volume, CancelTask(task=task.id), asker_of(request))
        return web.json_response(_told(await self._find(request)), status=202)

    async def _find(self, request: web.Request) -> TaskRecord:
        name = request.match_info["task"]
        try:
            task = UUID(name)
        except ValueError as error:
            raise NotFoundError(f"{name[:40]}: no such task", subject=Subject.TASK) from error
        return await find_task(self._gate.bus.catalogue, task)


def _told(task: TaskRecord) -> dict[str, object]:
    seconds = task.changed - task.began
    return {
        "task_id": str(task.id),
        "kind": task.kind,
        "volume": task.volume,
        "vfid": str(task.folder),
        "source": task.source or None,
        "source_volume": task.source_volume or None,
        "state": task.state,
        "cancelling": task.cancelling and not task.state.is_over,
        "message": task.message or None,
        "began": _time(task.began),
        "changed": _time(task.changed),
        "items": task.items,
        "items_total": task.items_total or None,
        "bytes": task.size_bytes,
        "bytes_total": task.size_bytes_total or None,
        "bytes_per_second": round(task.size_bytes / seconds) if seconds > 0 and task.size_bytes else None,
        "remaining_seconds": None if task.remaining_seconds is None else round(task.remaining_seconds, 1),
    }


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
