"""Answers that several askers share: never one that was found before somebody asked."""

from __future__ import annotations

import anyio
import pytest
from anyio.abc import TaskGroup

from domain.errors import NotFoundError
from gateway.manager.sharing import Shared

pytestmark = pytest.mark.anyio


class Search:
    """Finds the value something had when it was begun; ends when it is let go on."""

    def __init__(self) -> None:
        self.value = 0
        self.begun = 0
        self.gate = anyio.Event()
        self.error: Exception | None = None

    async def __call__(self) -> int:
        self.begun += 1
        value, gate = self.value, self.gate
        await gate.wait()
        if self.error is not None:
            raise self.error
        return value

    async def go_on(self) -> None:
        gate, self.gate = self.gate, anyio.Event()
        gate.set()
        await anyio.wait_all_tasks_blocked()


class Askers:
    """Those who ask one question, and what they hear."""

    def __init__(self, tasks: TaskGroup, search: Search) -> None:
        self._tasks = tasks
        self._search = search
        self.shared: Shared[int] = Shared()
        self.heard: list[object] = []

    async def ask(self, count: int = 1, scope: anyio.CancelScope | None = None) -> None:
        for _ in range(count):
            self._tasks.start_soon(self._ask, scope or anyio.CancelScope())
        await anyio.wait_all_tasks_blocked()

    async def _ask(self, scope: anyio.CancelScope) -> None:
        with scope:
            try:
                self.heard.append(await self.shared.get("question", self._search))
            except NotFoundError as error:
                self.heard.append(error.args[0])


async def test_who_comes_during_a_search_gets_the_answer_of_the_next_one() -> None:
    search = Search()
    async with anyio.create_task_group() as tasks:
        askers = Askers(tasks, search)
        await askers.ask()
        search.value = 1
        await askers.ask(30)
        assert search.begun == 1
        await search.go_on()
        assert askers.heard == [0]
        search.value = 2
        await askers.ask(5)
        assert search.begun == 2
        await search.go_on()
        assert askers.heard == [0, *[1] * 30]
        await search.go_on()
    assert askers.heard == [0, *[1] * 30, *[2] * 5]
    assert search.begun == 3


async def test_other_questions_do_not_wait() -> None:
    search, other = Search(), Search()
    other.gate.set()
    async with anyio.create_task_group() as tasks:
        askers = Askers(tasks, search)
        await askers.ask()
        assert await askers.shared.get("another", other) == 0
        await search.go_on()


@pytest.mark.parametrize("running", [False, True])
async def test_when_the_one_who_searches_leaves_another_one_does(*, running: bool) -> None:
    search, leaver = Search(), anyio.CancelScope()
    async with anyio.create_task_group() as tasks:
        askers = Askers(tasks, search)
        if not running:
            await askers.ask()
        await askers.ask(scope=leaver)
        await askers.ask(3)
        leaver.cancel()
        await anyio.wait_all_tasks_blocked()
        assert search.begun == 1 + running
        await search.go_on()
        await search.go_on()
    assert askers.heard == [0] * (3 if running else 4)
    assert search.begun == 2


async def test_all_of_them_hear_why_there_is_none() -> None:
    search = Search()
    search.error = NotFoundError("gone")
    async with anyio.create_task_group() as tasks:
        askers = Askers(tasks, search)
        await askers.ask(4)
        await search.go_on()
        await search.go_on()
    assert askers.heard == ["gone"] * 4
    assert search.begun == 2


async def test_a_defect_is_found_by_everybody_alone() -> None:
    search = Search()
    search.error = ZeroDivisionError()
    search.gate.set()
    shared: Shared[int] = Shared()
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            await shared.get("question", search)
    search.error = None
    assert await shared.get("question", search) == 0
