"""What limits are judged by: counts that go on while folders change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from harness.limits import begin, limit_folder, limit_scope, quota_of
from harness.uploads import let_pass
from harness.world import FOLDER, OTHER, World

from bus.memory.bus import MemoryCatalogue
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
