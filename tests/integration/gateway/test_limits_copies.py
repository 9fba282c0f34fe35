"""What is being copied counts against the limits of the scope it will be in."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from harness.limits import begin, limit_scope
from harness.world import FOLDER, OTHER, SCOPE, Direct, World

from actors.jobs import copying
from actors.jobs.clone import clone as clone_job
from actors.jobs.contract import CloneJob, Job
from backends.contract import Operation
from backends.powers import BuildPlan
from domain.ids import VFolderId, VolumeName
from domain.tasks import ALL_TASKS, task_record

pytestmark = pytest.mark.anyio

THIRD = f"{SCOPE}/aabb0003-0000-4000-8000-000000000003"


class Held:
    """A copy that goes on when it may."""

    def __init__(self, copy: Any, may_go_on: anyio.Event) -> None:
        self._copy = copy
        self._may_go_on = may_go_on

    def __getattr__(self, name: str) -> Any:
        return getattr(self._copy, name)

    async def step(self) -> bool:
        await self._may_go_on.wait()
        return bool(await self._copy.step())


@asynccontextmanager
async def many_workers(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """Jobs are done side by side."""
    start = Direct.start
    async with anyio.create_task_group() as jobs:

        async def begin_job(direct: Direct, job: Job) -> None:
            jobs.start_soon(start, direct, job)

        monkeypatch.setattr(Direct, "start", begin_job)
        yield


@asynccontextmanager
async def held_copies(world: World) -> AsyncIterator[None]:
    """Copies wait until the block ends."""
    copy_into, may_go_on = world.volume.copy_into, anyio.Event()

    async def copy(*args: Any) -> Held:
        return Held(await copy_into(*args), may_go_on)

    world.volume.copy_into = copy
    yield
    may_go_on.set()
    world.volume.copy_into = copy_into


async def clone(world: World, target: str = OTHER) -> str:
    body = {"src_volume": "disk", "src_vfid": FOLDER, "dst_volume": None, "dst_vfid": target}
    answer = await world.manager("POST", "/folder/clone", body)
    assert answer.status == 200, answer.body
    return str(answer.json["bgtask_id"])


def states(world: World) -> list[str]:
    tasks = world.store.view.indexes[ALL_TASKS]
    return sorted(world.store.view.records[task_record(task)]["state"] for task in tasks)


async def ended(world: World, count: int = 1) -> list[str]:
    await world.settled(lambda: len(states(world)) == count and "running" not in states(world))
    return states(world)


async def admitted(world: World) -> None:
    """Wait until what is copied is counted and fits."""
    await world.settled(lambda: world.events("task.progressed"))
    await anyio.sleep(0.1)


async def test_an_upload_has_to_fit_beside_what_is_being_copied(world: World) -> None:
    await world.make_folder()
    await world.upload("a", bytes(40))
    await limit_scope(world, limit_bytes=100)
    async with held_copies(world):
        await clone(world)
        await admitted(world)
        assert await begin(world, "b", 21) == 413
        assert await begin(world, "c", 20) == 200
    assert await ended(world) == ["done"]
    # It counts once, now that it is there.
    assert await begin(world, "d", 1) == 413


async def test_a_folder_has_to_fit_beside_what_is_being_copied(world: World) -> None:
    await world.make_folder()
    await world.upload("a", bytes(50))
    await limit_scope(world, limit_bytes=100)
    async with held_copies(world):
        await clone(world)
        await admitted(world)
        assert (await world.manager("POST", "/folder/create", {"volume": "disk", "vfid": THIRD})).status == 413


async def test_of_two_copies_one_gets_the_last_room(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await world.make_folder()
    await world.upload("a", bytes(40))
    await limit_scope(world, limit_bytes=100)
    async with many_workers(monkeypatch), held_copies(world):
        await clone(world)
        await clone(world, THIRD)
        await world.settled(lambda: "failed" in states(world))
    assert await ended(world, 2) == ["done", "failed"]
    assert await begin(world, "b", 20) == 200


async def test_two_that_refuse_each_other_try_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both count before either is judged."""
    await world.make_folder()
    await world.upload("a", bytes(40))
    await limit_scope(world, limit_bytes=100)
    judge, judging, both = copying.Copying._judge, list[Any](), anyio.Event()

    async def together(self: copying.Copying, scope: Any) -> None:
        judging.append(self)
        if len(judging) == 2:
            both.set()
        await both.wait()
        await judge(self, scope)

    monkeypatch.setattr(copying.Copying, "_judge", together)
    async with many_workers(monkeypatch):
        await clone(world)
        await clone(world, THIRD)
        assert await ended(world, 2) == ["done", "failed"]
    assert len(judging) > 2


async def test_what_is_given_up_counts_no_more(world: World) -> None:
    await world.make_folder()
    await world.upload("a", bytes(40))
    await limit_scope(world, limit_bytes=100)
    async with held_copies(world):
        task = await clone(world)
        await admitted(world)
        assert (await world.manager("DELETE", f"/tasks/{task}")).status < 300
    assert await ended(world) == ["cancelled"]
    assert await begin(world, "b", 60) == 200


@pytest.mark.parametrize(("limit", "end"), [(79, "clone.abandoned"), (80, "clone.completed")])
async def test_a_copy_counts_before_it_is_told_of(world: World, limit: int, end: str) -> None:
    """Its actor has died, or waits for Redis, and a worker is at it already."""
    await world.make_folder()
    await world.upload("a", bytes(40))
    await limit_scope(world, limit_bytes=limit)
    volume, clock = world.volume, world.bus.clock
    here, source, target = VolumeName("disk"), VFolderId.parse(FOLDER), VFolderId.parse(OTHER)
    plan = BuildPlan(clock.new_id(), here, source, target)
    await volume.begin_build(Operation(plan.id, await volume.epoch()), plan)
    await clone_job(CloneJob(volume=here, build=plan.id), {here: volume}, world.bus)
    await world.settled(lambda: world.events("clone.completed") or world.events("clone.abandoned"))
    assert world.events(end)
