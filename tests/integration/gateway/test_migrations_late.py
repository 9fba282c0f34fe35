"""A folder that is taken from its old place late: its worker died when it had asked for that."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from harness.second_volume import NAME, second_volume
from harness.world import FOLDER, OTHER, World

from actors.jobs.clone import clone
from actors.jobs.contract import CloneJob
from backends.contract import Operation
from domain.ids import VFolderId, VolumeName

pytestmark = pytest.mark.anyio

DISK, HERE, THERE = VolumeName("disk"), VFolderId.parse(FOLDER), VFolderId.parse(OTHER)


@pytest.mark.parametrize("taken_at", [1, 2])
async def test_who_follows_goes_on_with_what_was_taken(world: World, tmp_path: Path, taken_at: int) -> None:
    (tmp_path / "second").mkdir()
    async with second_volume(world, tmp_path / "second") as place:
        (place / "a").write_bytes(b"1")
        source = world.gate.volumes[NAME]
        await source.take_over(1)
        body = {"src_volume": NAME, "src_vfid": FOLDER, "dst_volume": "disk", "dst_vfid": OTHER}
        task = (await world.manager("POST", "/folder/migrate", body)).json["task_id"]
        tree, looks = source.tree, list[int]()

        async def taken(folder: VFolderId) -> Any:
            looks.append(1)
            if len(looks) == taken_at:
                await source.withdraw_folder(Operation(world.bus.clock.new_id(), 1), HERE, UUID(task))
            return await tree(folder)

        source.tree = taken
        job = CloneJob(volume=DISK, build=UUID(task))
        await clone(job, {DISK: world.volume, NAME: source}, world.bus)
        assert [event.type for event in world.events() if ".migrat" in event.type] == [
            "vfolder.migration.accepted",
            "vfolder.migrated",
        ]
        assert (await world.manager("GET", f"/tasks/{task}")).json["state"] == "done"
