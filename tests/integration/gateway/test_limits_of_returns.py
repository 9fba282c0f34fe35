"""Folders that come back, or get another owner, beside others that do, and beside uploads."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import pytest
from harness.limits import begin, limit_scope
from harness.world import FOLDER, OTHER, SCOPE, World, open_world

from actors.handlers.arrivals import Arrival, Arrivals
from domain.catalogue import Index, Unindex
from domain.errors import BackendUnavailableError, ConflictError

pytestmark = pytest.mark.anyio

THIRD = f"{SCOPE}/aabb0003-0000-4000-8000-000000000003"
THEIRS = "project:99999999-9999-4999-8999-999999999999"


async def post_together(world: World, route: str, *bodies: dict[str, str]) -> list[int]:
    statuses: list[int] = []

    async def post(body: dict[str, str]) -> None:
        statuses.append((await world.manager("POST", route, body)).status)

    async with anyio.create_task_group() as tasks:
        for body in bodies:
            tasks.start_soon(post, body)
    return sorted(statuses)


async def test_of_two_folders_that_come_back_one_gets_the_last_room(tmp_path: Path) -> None:
    async with open_world(tmp_path, actors={"trash_seconds": 3600}) as world:
        await world.make_folder(THIRD)
        for folder in (FOLDER, OTHER):
            await world.make_folder(folder)
            await world.upload("a", bytes(60), folder)
            await world.manager("POST", "/folder/delete", {"volume": "disk", "vfid": folder})
        await world.settled(lambda: len(world.events("vfolder.deleted")) == 2)
        await limit_scope(world, limit_bytes=100)
        bodies = [{"volume": "disk", "vfid": folder} for folder in (FOLDER, OTHER)]
        assert await post_together(world, "/folder/restore", *bodies) == [204, 413]
        # What was refused counts no more.
        assert (await world.manager("POST", "/folder/delete", bodies[0])).status == 202


async def test_of_two_folders_that_get_another_owner_one_gets_the_last_room(world: World) -> None:
    await world.make_folder(f"{THEIRS}/aabb0009-0000-4000-8000-000000000009")
    limit = {"volume": "disk", "qsid": THEIRS, "options": {"limit_bytes": 100}}
    assert (await world.manager("PATCH", "/quota-scope", limit)).status == 204
    bodies = []
    for folder in (FOLDER, OTHER):
        await world.make_folder(folder)
        await world.upload("a", bytes(60), folder)
        new = f"{THEIRS}/{folder.partition('/')[2]}"
        bodies.append({"src_volume": "disk", "src_vfid": folder, "dst_vfid": new})
    assert await post_together(world, "/folder/migrate", *bodies) == [200, 413]


@dataclass
class Held:
    """A folder of 60 bytes that comes to a scope with a limit of 100, held where it is put at its place."""

    world: World
    #: Where it comes to.
    scope: str
    route: str
    body: dict[str, str]
    #: Name of what puts it there.
    step: str

    @asynccontextmanager
    async def coming(
        self, monkeypatch: pytest.MonkeyPatch, held: str = "before"
    ) -> AsyncIterator[Callable[[], int]]:
        """Have it come, and held before or behind the step; the status is known once the block has ended."""
        step, is_held, may_go_on, statuses = getattr(self.world.volume, self.step), anyio.Event(), anyio.Event(), []

        async def hold() -> None:
            is_held.set()
            await may_go_on.wait()

        async def holding(*args: Any, **more: Any) -> None:
            if held == "before":
                await hold()
            await step(*args, **more)
            if held == "behind":
                await hold()

        async def come() -> None:
            statuses.append(await self.come())

        monkeypatch.setattr(self.world.volume, self.step, holding)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(come)
            await is_held.wait()
            yield lambda: statuses[0]
            may_go_on.set()

    async def come(self) -> int:
        return (await self.world.manager("POST", self.route, self.body)).status

    @property
    def arrivals(self) -> Collection[str]:
        """What is said to be on its way."""
        return self.world.store.view.indexes[f"index:arrivals:disk:{self.scope}"]

    async def begin(self, size: int) -> int:
        """Begin an upload to another folder of the scope."""
        return await begin(self.world, "b", size, f"{self.scope}/{THIRD.partition('/')[2]}")


async def limited(world: World, scope: str) -> None:
    await world.make_folder(f"{scope}/{THIRD.partition('/')[2]}")
    limit = {"volume": "disk", "qsid": scope, "options": {"limit_bytes": 100}}
    assert (await world.manager("PATCH", "/quota-scope", limit)).status == 204


@pytest.fixture(params=["restore", "migrate"])
async def held(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Held]:
    async with open_world(tmp_path, actors={"trash_seconds": 3600, "backoff_seconds": 0.01}) as world:
        await world.make_folder(FOLDER)
        await world.upload("a", bytes(60))
        if request.param == "restore":
            body = {"volume": "disk", "vfid": FOLDER}
            await world.manager("POST", "/folder/delete", body)
            await world.settled(lambda: world.events("vfolder.deleted"))
            found = Held(world, SCOPE, "/folder/restore", body, "restore_folder")
        else:
            body = {"src_volume": "disk", "src_vfid": FOLDER, "dst_vfid": f"{THEIRS}/{FOLDER.partition('/')[2]}"}
            found = Held(world, THEIRS, "/folder/migrate", body, "move_folder")
        await limited(world, found.scope)
        yield found


@pytest.mark.parametrize("where", ["before", "behind"])
async def test_an_upload_has_to_fit_beside_what_comes(
    held: Held, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with held.coming(monkeypatch, where) as status:
        assert await held.begin(41) == 413
        assert await held.begin(40) == 200
    assert status() in (200, 204)
    # It counts once, now that it is there.
    assert not held.arrivals
    assert await held.begin(1) == 413


async def test_what_comes_has_to_fit_beside_an_upload(held: Held) -> None:
    assert await held.begin(41) == 200
    assert await held.come() == 413
    assert not held.arrivals


async def test_an_upload_that_begins_while_it_is_judged_is_seen(
    held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge, began = Arrivals._judge, list[int]()

    async def judged(arrivals: Arrivals, arrival: Arrival, more: int) -> None:
        await judge(arrivals, arrival, more)
        if not began:
            began.append(await held.begin(41))

    monkeypatch.setattr(Arrivals, "_judge", judged)
    assert await held.come() == 413
    assert began == [200]
    assert not held.arrivals


async def test_two_that_refuse_each_other_try_again(held: Held, monkeypatch: pytest.MonkeyPatch) -> None:
    """An upload that counts, and is refused because this does."""
    take, steps = Arrivals._take, list[int]()
    index = f"index:uploads:disk:{held.scope}"

    async def taken(arrivals: Arrivals, arrival: Arrival) -> None:
        steps.append(1)
        change = Index(index, "other:41") if len(steps) == 1 else Unindex(index, "other:41")
        await arrivals.catalogue.apply([change])
        await take(arrivals, arrival)

    monkeypatch.setattr(Arrivals, "_take", taken)
    assert await held.come() in (200, 204)
    assert len(steps) == 2


async def test_what_is_tried_again_counts_once(held: Held, monkeypatch: pytest.MonkeyPatch) -> None:
    step, tries = getattr(held.world.volume, held.step), list[int]()

    async def failing(*args: Any, **more: Any) -> None:
        tries.append(1)
        if len(tries) == 1:
            raise BackendUnavailableError("not now")
        await step(*args, **more)

    monkeypatch.setattr(held.world.volume, held.step, failing)
    assert await held.come() in (200, 204)
    assert len(tries) == 2
    assert not held.arrivals


async def test_what_is_refused_after_it_was_judged_counts_no_more(
    held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refusing(*_: Any, **__: Any) -> None:
        raise ConflictError("somebody is there")

    monkeypatch.setattr(held.world.volume, held.step, refusing)
    assert await held.come() == 409
    assert not held.arrivals
    assert await held.begin(100) == 200
