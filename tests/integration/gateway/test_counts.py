"""Counts that take longer than anybody waits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest
from harness.world import FOLDER, OTHER, World, open_world

from domain.usage import Usage

pytestmark = pytest.mark.anyio

BODY = {"volume": "disk", "vfid": FOLDER}


async def test_whoever_waits_too_long_is_told_what_was_counted_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_world(tmp_path, usage_wait_seconds=0.2) as world:
        await world.make_folder()
        await world.upload("a", b"hello")
        go_on = anyio.Event()
        counts = await slow(world, monkeypatch, go_on)
        answer = await world.manager("GET", "/folder/usage", BODY)
        assert answer.status == 503, "never counted"
        assert int(answer.headers["Retry-After"]) >= 1
        await world.manager("POST", "/tasks", {"volume": "disk", "kind": "usage.scan"})
        await world.settled(lambda: world.events("task.completed"))
        for route, told in (
            ("/folder/usage", {"file_count": 1, "used_bytes": 5}),
            ("/folder/used-bytes", None),
        ):
            answer = await world.manager("GET", route, BODY)
            assert answer.status == 200
            assert told in (None, answer.json)
            assert int(answer.headers["X-Penstock-Usage-Age"]) >= 0
        assert counts == [1], "all of them wait for the same count"
        go_on.set()
        await anyio.sleep(0.05)
        answer = await world.manager("GET", "/folder/usage", BODY)
        assert answer.json == {"file_count": 7, "used_bytes": 70}
        assert "X-Penstock-Usage-Age" not in answer.headers


async def slow(world: World, monkeypatch: pytest.MonkeyPatch, go_on: anyio.Event) -> list[int]:
    """Have counts take until `go_on`; counts how many there are."""
    counts = [0]

    async def usage(folder: Any, *, staging: bool = True) -> Usage:
        del folder, staging
        if not go_on.is_set():
            counts[0] += 1
        await go_on.wait()
        return Usage(7, 7, 70, 70, 70)

    monkeypatch.setattr(world.volume, "usage", usage)
    return counts


async def test_a_count_that_fails_is_told_to_all(world: World) -> None:
    body = {"volume": "disk", "vfid": OTHER}
    answers: list[int] = []

    async def ask() -> None:
        answers.append((await world.manager("GET", "/folder/usage", body)).status)

    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(ask)
    assert answers == [404] * 5


async def test_a_count_that_fails_by_a_defect_ends_nothing_else(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def usage(folder: Any, *, staging: bool = True) -> Usage:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(world.volume, "usage", usage)
        answer = await world.manager("GET", "/folder/usage", BODY)
    assert answer.status == 500
    assert "thread" not in answer.body.decode()
    await world.make_folder()
    assert (await world.manager("GET", "/folder/usage", BODY)).json == {"file_count": 0, "used_bytes": 0}
