"""Deleted folders that are kept for a while."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from harness.limits import begin, limit_folder, limit_scope
from harness.world import FOLDER, OTHER, World, open_world

from actors.jobs.contract import PurgeJob
from actors.jobs.purge import purge
from backends.contract import Operation
from backends.powers import WithdrawsFolders
from domain.ids import VFolderId, uuid7

pytestmark = pytest.mark.anyio


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path, actors={"trash_seconds": 3600}) as opened:
        await opened.make_folder()
        await opened.upload("d/a.txt", b"hello")
        yield opened


async def delete(world: World, folder: str = FOLDER) -> str:
    answer = await world.manager("POST", "/folder/delete", {"volume": "disk", "vfid": folder})
    with anyio.fail_after(10):
        while (await world.manager("GET", "/folder/usage", {"volume": "disk", "vfid": folder})).status != 404:
            await anyio.sleep(0.01)
    return str(answer.json["bgtask_id"])


async def trash(world: World) -> list[dict[str, Any]]:
    return list((await world.manager("GET", "/trash?volume=disk")).json["items"])


async def call(world: World, route: str, **more: Any) -> int:
    return (await world.manager("POST", route, {"volume": "disk", "vfid": FOLDER, **more})).status


async def test_a_deleted_folder_comes_back(world: World) -> None:
    deletion = await delete(world)
    (item,) = await trash(world)
    assert (item["trash"], item["vfid"].replace("-", "")) == (deletion, FOLDER.replace("-", ""))
    assert item["deleted"].startswith("20")
    assert not world.events("vfolder.purged")
    assert await call(world, "/folder/restore") == 204
    assert (world.folder / "d/a.txt").read_bytes() == b"hello"
    assert await trash(world) == []
    assert len((await world.manager("GET", "/folders")).json["items"]) == 1
    assert world.events("vfolder.restored")[0].body["trash"] == deletion
    assert (await world.manager("GET", f"/tasks/{deletion}")).json["message"] == "restored"
    assert await call(world, "/folder/restore") == 404
    await delete(world)
    assert await call(world, "/folder/restore") == 204


async def test_the_last_one_or_a_named_one(world: World) -> None:
    first = await delete(world)
    await world.make_folder()
    await world.upload("second", b"")
    await delete(world)
    assert await call(world, "/folder/restore") == 204
    assert (world.folder / "second").exists()
    assert await call(world, "/folder/restore", trash=first) == 409
    await delete(world)
    assert await call(world, "/folder/restore", trash=first) == 204
    assert (world.folder / "d/a.txt").exists()


async def test_what_is_in_the_way_stays(world: World) -> None:
    await delete(world)
    await world.make_folder()
    assert await call(world, "/folder/restore") == 409
    assert len(await trash(world)) == 1
    other = {"trash": (await trash(world))[0]["trash"], "vfid": OTHER}
    assert await call(world, "/folder/restore", **other) == 404, "another folder's"


async def test_at_once_on_request(world: World) -> None:
    deletion = await delete(world)
    assert await call(world, "/folder/purge") == 204
    with anyio.fail_after(10):
        while not world.events("vfolder.purged"):
            await anyio.sleep(0.01)
    assert world.events("vfolder.purged")[0].body["trash"] == deletion
    assert await call(world, "/folder/restore") == 404
    assert await call(world, "/folder/purge") == 404
    assert await call(world, "/folder/purge", trash="00000000-0000-4000-8000-000000000000") == 404
    for place in ("trash", "purging"):
        assert not list((world.path / ".penstock" / place).iterdir())


async def test_what_is_in_the_trash_is_purged_under_its_own_name_only(world: World) -> None:
    await world.make_folder(OTHER)
    deletion = await delete(world)
    assert await call(world, "/folder/purge", vfid=OTHER, trash=deletion) == 404
    body = {"volume": "disk", "vfid": OTHER, "relpaths": ["nope"]}
    files = (await world.manager("POST", "/folder/file/delete-async", body)).json["bgtask_id"]
    assert await call(world, "/folder/purge", vfid=OTHER, trash=files) == 404
    assert not world.events("vfolder.purge.requested")
    assert await call(world, "/folder/restore", trash=deletion) == 204
    assert (world.folder / "d/a.txt").read_bytes() == b"hello"


async def test_files_are_not_kept(world: World) -> None:
    body = {"volume": "disk", "vfid": FOLDER, "relpaths": ["d"], "recursive": True}
    answer = await world.manager("POST", "/folder/file/delete-async", body)
    with anyio.fail_after(10):
        while not world.events("files.purged"):
            await anyio.sleep(0.01)
    assert await trash(world) == []
    assert await call(world, "/folder/restore", trash=answer.json["bgtask_id"]) == 409, "the folder is there"


async def test_when_its_time_is_over_it_is_purged(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.make_folder()
        await delete(world)
        with anyio.fail_after(10):
            while not world.events("vfolder.purged"):
                await anyio.sleep(0.01)


async def test_a_job_that_comes_late_purges_nothing_that_was_restored(world: World) -> None:
    deletion = await delete(world)
    assert await call(world, "/folder/restore") == 204
    job = PurgeJob(volume="disk", folder=VFolderId.parse(FOLDER), trash=deletion)
    await purge(job, world.volume, world.bus)
    await limit_folder(world, limit_bytes=1000)  # what was sent before is done by then
    assert not world.events("vfolder.purged")
    assert (await world.manager("GET", f"/tasks/{deletion}")).json["message"] == "restored"
    assert (world.folder / "d/a.txt").read_bytes() == b"hello"


async def test_a_folder_on_its_way_elsewhere_is_nobody_elses(world: World) -> None:
    volume = world.volume
    assert isinstance(volume, WithdrawsFolders)
    task, withdrawing = (uuid7(int(time.time() * 1000), bytes([number] * 10)) for number in (1, 2))
    await volume.withdraw_folder(Operation(withdrawing, 1), VFolderId.parse(FOLDER), task)
    assert await trash(world) == []
    for route in ("/folder/restore", "/folder/purge"):
        assert await call(world, route) == 404
        assert await call(world, route, trash=str(withdrawing)) == 409
    assert (world.path / ".penstock/trash" / str(withdrawing) / "d/a.txt").read_bytes() == b"hello"


async def test_a_folder_that_does_not_fit_any_more_stays_in_the_trash(world: World) -> None:
    await limit_scope(world, limit_bytes=9)
    await delete(world)
    await world.make_folder(OTHER)
    await world.upload("b.txt", b"world", OTHER)
    for _ in range(2):
        answer = await world.manager("POST", "/folder/restore", {"volume": "disk", "vfid": FOLDER})
        assert (answer.status, answer.json["type"]) == (413, "urn:penstock:problem:quota-exceeded")
    assert len(await trash(world)) == 1
    await limit_scope(world, limit_bytes=10)
    assert await call(world, "/folder/restore") == 204
    assert (world.folder / "d/a.txt").read_bytes() == b"hello"


async def test_a_folder_comes_back_beside_what_uploads_have_reserved(world: World) -> None:
    await limit_scope(world, limit_bytes=10)
    await delete(world)
    await world.make_folder(OTHER)
    assert await begin(world, "b.txt", 6, OTHER) == 200
    assert await call(world, "/folder/restore") == 413


async def test_an_empty_folder_comes_back_where_there_is_no_room(world: World) -> None:
    await world.make_folder(OTHER)
    await delete(world, OTHER)
    await limit_scope(world, limit_bytes=5)
    assert await call(world, "/folder/restore", vfid=OTHER) == 204
