"""Comparing the catalogue with a volume on which others are at work, and by workers that die."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import anyio
import pytest
from harness.world import FOLDER, OTHER, SCOPE, Direct, World

from actors import comparison
from actors.jobs.contract import WorkJob
from actors.jobs.kinds import orphans
from backends.contract import Operation
from domain.catalogue import folder_member, folder_record, volume_index
from domain.errors import BackendUnavailableError
from domain.ids import VFolderId, VolumeName
from domain.view import View

pytestmark = pytest.mark.anyio

DISK, PLACE = VolumeName("disk"), VFolderId.parse(FOLDER)


async def operation(world: World) -> Operation:
    return Operation(world.bus.clock.new_id(), await world.volume.epoch())


async def compared(world: World, *, dry_run: bool = False) -> list[tuple[str, str]]:
    counting = None if dry_run else world.gate.relays
    compare = comparison.Comparison(world.bus, View(), dry_run=dry_run, counting=counting)
    return [(row["subject"], row["difference"]) async for row in compare.differences(world.volume)]


async def inspected(world: World) -> Any:
    """Have a volume inspected; returns the task when the worker that was sent is done."""
    body = {"volume": "disk", "kind": "volume.inspect", "options": {"age_seconds": 0}}
    task = (await world.manager("POST", "/tasks", body)).json["task_id"]
    await world.settled(lambda: world.events("task.accepted"))
    while not (world.events("task.completed") or world.events("task.abandoned")):
        await Direct(world.bus, world.volume).start(WorkJob(volume=DISK, work=UUID(task)))
        await anyio.sleep(0.05)
    return (await world.manager("GET", f"/tasks/{task}")).json


async def test_what_is_on_its_way_to_another_volume_is_not_missing(world: World) -> None:
    await world.make_folder()
    op = await operation(world)
    await world.volume.withdraw_folder(op, PLACE, op.id)
    assert await compared(world, dry_run=True) == []
    assert await compared(world) == []
    assert world.store.view.records[folder_record(PLACE, DISK)]


async def test_what_is_deleted_while_it_is_listed_is_not_missing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.make_folder()
    list_folders, folders = comparison.list_folders, world.volume.folders

    async def nothing() -> AsyncIterator[VFolderId]:
        async for folder in folders():
            if folder != PLACE:
                yield folder

    async def late(*args: Any) -> AsyncIterator[Any]:
        async for listed in list_folders(*args):
            await world.manager("POST", "/folder/delete", {"volume": "disk", "vfid": FOLDER})
            await world.settled(lambda: world.events("vfolder.deleted"))
            yield listed

    world.volume.folders = nothing
    monkeypatch.setattr(comparison, "list_folders", late)
    assert await compared(world, dry_run=True) == []


@pytest.mark.parametrize("dry_run", [True, False])
async def test_what_goes_while_it_is_looked_at_is_no_difference(world: World, *, dry_run: bool) -> None:
    for folder in (FOLDER, OTHER):
        await world.make_folder(folder)
    view = world.store.view
    del view.records[folder_record(PLACE, DISK)]
    view.indexes[volume_index(DISK)].discard(folder_member(PLACE, DISK))
    folders = world.volume.folders

    async def going() -> AsyncIterator[VFolderId]:
        async for folder in folders():
            if folder == PLACE:
                await world.volume.delete_folder(await operation(world), PLACE)
            yield folder

    world.volume.folders = going
    assert await compared(world, dry_run=dry_run) == []
    assert folder_record(PLACE, DISK) not in view.records


async def test_what_was_found_before_a_worker_died_is_told_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in (FOLDER, OTHER):
        await world.make_folder(folder)
    missing = VFolderId.parse(f"{SCOPE}/aabb0009-0000-4000-8000-000000000009")
    view = world.store.view
    view.records[folder_record(missing, DISK)] = {"created": "0"}
    view.indexes[volume_index(DISK)].add(folder_member(missing, DISK))
    looked, lives = orphans.uploads_without_record, list[int]()

    async def dying(*args: Any) -> Any:
        lives.append(1)
        if len(lives) == 2:
            raise BackendUnavailableError("the worker is gone")
        return await looked(*args)

    monkeypatch.setattr(orphans, "uploads_without_record", dying)
    told = await inspected(world)
    assert [row["subject"] for row in told["result"]["findings"]] == [str(missing)]
    assert (told["result"]["found"], len(lives)) == (1, 3)
    assert len(world.events("vfolder.missing")) == 1


async def test_what_is_kept_of_a_task_and_cannot_be_read_ends_it(world: World) -> None:
    await world.make_folder()
    checkpointed = world.volume.checkpointed

    async def torn(work: UUID) -> bytes:
        await checkpointed(work)
        return bytes(9)

    world.volume.checkpointed = torn
    assert (await inspected(world))["state"] == "failed"
