"""What limits are judged by: counts that go on while folders change."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from harness.limits import begin, limit_folder, limit_scope, on_disk, quota_of
from harness.tus import LARGE, Collection
from harness.uploads import let_pass
from harness.world import FOLDER, OTHER, World, open_world

from actors.counting import scope_usage
from backends.mounted.files import MountedFiles
from bus.memory.bus import MemoryCatalogue
from domain.errors import BusBrokenError
from domain.ids import VFolderId
from domain.usage import Usage

pytestmark = pytest.mark.anyio

THERE = OTHER.replace("aabb0002", "aabb0003")


async def test_nobody_is_refused_for_what_was_removed_on_the_storage(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by whoever has the folder mounted: no event tells of it."""
    await world.make_folder()
    await limit_folder(world, limit_bytes=100)
    await world.upload("a/a", bytes(60))
    await world.upload("a/b", bytes(30))
    assert await begin(world, "b", 50) == 413
    let_pass(monkeypatch, 5)
    (world.folder / "a/a").unlink()
    assert (await quota_of(world))["used_bytes"] == 90, "not counted for so short a time"
    assert await begin(world, "b", 50) == 200
    assert (await quota_of(world))["used_bytes"] == 30


async def test_nor_are_new_folders_and_clones(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await world.make_folder()
    await limit_scope(world, limit_bytes=100)
    await world.upload("a/a", bytes(40))
    await world.upload("a/b", bytes(60))
    made = {"volume": "disk", "vfid": OTHER}
    assert (await world.manager("POST", "/folder/create", made)).status == 413
    let_pass(monkeypatch, 5)
    (world.folder / "a/b").unlink()
    assert (await world.manager("POST", "/folder/create", made)).status == 204
    await world.upload("a/c", bytes(60))
    let_pass(monkeypatch, 10)
    (world.folder / "a/c").unlink()
    cloned = {"src_volume": "disk", "src_vfid": FOLDER, "dst_volume": None, "dst_vfid": THERE}
    assert (await world.manager("POST", "/folder/clone", cloned)).status == 200
    await world.settled(lambda: world.events("clone.completed"))


@pytest.mark.parametrize(("size", "status"), [(40, 200), (41, 413)])
@pytest.mark.parametrize("is_counted", [False, True])
async def test_an_upload_that_ends_while_another_is_judged_counts_once(
    world: World, monkeypatch: pytest.MonkeyPatch, size: int, status: int, is_counted: bool
) -> None:
    """It is what it has reserved until then, and a file from then on; never neither, and not both for long."""
    await world.make_folder()
    await limit_folder(world, limit_bytes=100)
    token, look = await world.upload_token("a", 60), MemoryCatalogue.page

    async def end() -> None:
        monkeypatch.undo()
        assert (await world.patch(token, 0, bytes(60))).status == 204

    async def page(catalogue: MemoryCatalogue, index: str, **more: Any) -> Sequence[str]:
        if not index.startswith("index:uploads:"):
            return await look(catalogue, index, **more)
        if is_counted:
            found = await look(catalogue, index, **more)
            await end()
            return found
        await end()
        return await look(catalogue, index, **more)

    monkeypatch.setattr(MemoryCatalogue, "page", page)
    assert await begin(world, "b", size) == status
    assert (await quota_of(world))["used_bytes"] == 60


async def test_what_comes_in_during_a_scan_is_not_forgotten(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await world.make_folder()
    await limit_folder(world, limit_bytes=100)
    await world.upload("a", bytes(10))
    count = world.volume.recount

    async def slowly(folder: VFolderId, *, full: bool) -> Usage:
        monkeypatch.undo()
        found = await count(folder, full=full)
        await world.upload("b", bytes(50))
        return found

    monkeypatch.setattr(world.volume, "recount", slowly)
    asked = {"volume": "disk", "kind": "usage.scan", "vfid": FOLDER}
    assert (await world.manager("POST", "/tasks", asked)).status == 202
    await world.settled(lambda: world.events("usage.measured"))
    assert (await quota_of(world))["used_bytes"] == 60
    assert await begin(world, "c", 41) == 413
    assert await begin(world, "c", 40) == 200


async def test_what_was_replaced_is_not_believed_of_who_died(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await world.make_folder()
    await limit_folder(world, limit_bytes=4 * LARGE)
    files = await Collection.open(world)
    first = await files.begin(2 * LARGE, "a")
    assert (await files.patch(first, 0, bytes(2 * LARGE))).status == 204
    one = await files.begin(LARGE, "a")
    commit, calls = MountedFiles.commit_staging, []

    async def dying(self: Any, session: str, *args: Any, **more: Any) -> Any:
        if not calls:
            calls.append(1)
            two = await files.begin(LARGE // 2, "a")
            assert (await files.patch(two, 0, bytes(LARGE // 2))).status == 204
            await commit(self, session, *args, **more)
            raise BusBrokenError("died")
        return await commit(self, session, *args, **more)

    monkeypatch.setattr(MountedFiles, "commit_staging", dying)
    assert (await files.patch(one, 0, bytes(LARGE))).status == 503
    await world.let_go(one)
    assert (await files.head(one)).status == 200
    assert on_disk(world) == LARGE
    used = (await quota_of(world))["used_bytes"]
    assert used >= LARGE


async def test_a_count_of_before_a_folder_was_restored_is_not_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same by ScopeUsage of a gateway, with another gateway that counts after the restore."""
    async with open_world(tmp_path, actors={"trash_seconds": 3600}) as world:
        await world.make_folder()
        await limit_folder(world, limit_bytes=100)
        await world.upload("a", bytes(60))
        usage = world.gate.quotas._usages["disk"]
        count = usage._count

        async def slowly(folder: VFolderId) -> Usage:
            usage._count = count
            found = await count(folder)
            body = {"volume": "disk", "vfid": FOLDER}
            assert (await world.manager("POST", "/folder/delete", body)).status in (202, 204)
            await world.settled(lambda: world.events("vfolder.deleted"))
            assert (await world.manager("POST", "/folder/restore", body)).status == 204
            await scope_usage(world.volume, world.bus, 300).folder_bytes(folder)  # another process
            return found

        usage._count = slowly
        await usage.measure(VFolderId.parse(FOLDER))
        assert await begin(world, "b", 60) == 413


async def test_nothing_is_counted_for_an_upload_that_grows_and_fits(world: World) -> None:
    await world.make_folder()
    await limit_folder(world, limit_bytes=1_000_000)
    await world.upload("x", bytes(90))
    await world.upload("y", bytes(90))
    files = await Collection.open(world)
    url = await files.begin(None, "a", Upload_Defer_Length="1")
    usage, counted = world.gate.quotas._usages["disk"], []
    count = usage._count

    async def counting(folder: VFolderId) -> Usage:
        counted.append(folder)
        return await count(folder)

    usage._count = counting
    body = {"volume": "disk", "vfid": FOLDER, "relpaths": ["x"]}
    assert (await world.manager("POST", "/folder/file/delete", body)).status in (200, 204)
    assert await begin(world, "b", 60) == 200
    assert not counted, "fits, so that nothing is counted"
    assert (await files.patch(url, 0, bytes(100))).status == 204
    assert not counted
