"""Tasks: what goes on in the background, how far it is, and having it end."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from uuid import UUID

from aiohttp import web
from pydantic import Field, JsonValue

from bus.contract import Broadcasted, Gap
from bus.task_pages import find_task, task_page
from domain.errors import NotFoundError, Subject
from domain.ids import VFolderId
from domain.task_commands import CancelTask, StartTask
from domain.tasks import TaskKind, TaskRecord
from domain.work import read_options
from gateway.gate import Gate
from gateway.manager.following import Following, Piece, message, told
from gateway.middlewares import asker_of
from gateway.parameters import Parameters, Text, read_query


class ListParameters(Parameters):
    """Which tasks, and from where on."""

    volume: Text | None = None
    cursor: str = Field("", max_length=64)
    limit: int = Field(100, ge=1, le=1000)


class StartParameters(Parameters):
    """What is to be done; with all of the volume, unless a folder is named."""

    volume: Text
    kind: TaskKind
    vfid: VFolderId | None = None
    options: dict[str, JsonValue] = Field(default_factory=dict)


class TaskRoutes:
    """`/tasks`."""

    def __init__(self, gate: Gate, following: Following) -> None:
        self._gate = gate
        self._following = following

    def routes(self) -> list[web.RouteDef]:
        """What this serves."""
        return [
            web.get("/tasks", self.tasks, allow_head=False),
            web.post("/tasks", self.start),
            web.get("/tasks/{task}", self.task, allow_head=False),
            web.get("/tasks/{task}/events", self.events, allow_head=False),
            web.delete("/tasks/{task}", self.cancel),
        ]

    async def tasks(self, request: web.Request) -> web.Response:
        """List tasks in the order they began, page by page; they are kept for some time after their end."""
        parameters = read_query(request, ListParameters)
        volume = self._gate.volume(parameters.volume).name if parameters.volume is not None else None
        page = await task_page(self._gate.bus.catalogue, cursor=parameters.cursor, limit=parameters.limit)
        items = [_told(task) for task in page.tasks if volume in (None, task.volume)]
        return web.json_response({"items": items, "next_cursor": page.cursor})

    async def start(self, request: web.Request) -> web.Response:
        """Have something done in the background, with a folder or all of a volume."""
        parameters = await self._gate.body(request, StartParameters)
        volume = self._gate.volume(parameters.volume)
        wish = StartTask(kind=parameters.kind, folder=parameters.vfid, options=parameters.options)
        read_options(wish.kind, wish.options, wish.folder)
        answer = await self._gate.commander.ask(volume.name, wish, asker_of(request))
        task = str(answer["task"])
        return web.json_response({"task_id": task}, status=202, headers={"Location": f"/tasks/{task}"})

    async def task(self, request: web.Request) -> web.Response:
        """Tell how far a task is."""
        return web.json_response(_told(await self._find(request)))

    async def events(self, request: web.Request) -> web.StreamResponse:
        """Stream how far a task is (`event: task`) and what happens with it, until it is over."""
        task = (await self._find(request)).id

        async def state(position: str = "") -> Piece:
            known = await find_task(self._gate.bus.catalogue, task)
            return Piece(message(position, "task", _told(known)), is_last=known.state.is_over)

        async def pick(item: Broadcasted | Gap) -> Piece:
            position = item.position.entry
            if isinstance(item, Gap):
                return await state(position)
            if str(task) not in (item.envelope.body.get("task"), item.envelope.body.get("trash")):
                return Piece()
            now = await state(position)
            return Piece(message(position, item.envelope.type, told(item.envelope)) + now.text, now.is_last)

        return await self._following.stream(request, pick, first=state)

    async def cancel(self, request: web.Request) -> web.Response:
        """Have a task end before it is done. What was deleted stays deleted."""
        task, asker = await self._find(request), asker_of(request)
        if not await self._gate.commander.is_repetition(asker):
            task.check_cancellable()
        await self._gate.commander.ask(task.volume, CancelTask(task=task.id), asker)
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
        "vfid": str(task.folder) if task.folder else None,
        "source": task.source or None,
        "source_volume": task.source_volume or None,
        "state": task.state,
        "cancelling": task.cancelling and not task.state.is_over,
        "message": task.message or None,
        "result": json.loads(task.result) if task.result else None,
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
