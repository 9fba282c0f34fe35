"""Folders that come back, or get another owner, beside others that do."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest
from harness.limits import limit_scope
from harness.world import FOLDER, OTHER, SCOPE, World, open_world

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
