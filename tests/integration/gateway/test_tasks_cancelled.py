"""Tasks that nobody can do, and that end all the same when somebody wants it."""

from __future__ import annotations

import pytest
from harness.world import FOLDER, OTHER, Direct, World

from actors.jobs.contract import CloneJob
from domain.commands import MigrateVFolder, RequestClone
from domain.envelope import Origin
from domain.ids import VFolderId, VolumeName
from gateway.commands import Asker

pytestmark = [pytest.mark.anyio, pytest.mark.folder]


@pytest.mark.parametrize("command", [RequestClone, MigrateVFolder])
async def test_a_copy_from_a_volume_that_is_not_there_any_more_is_cancelled(
    world: World, command: type[RequestClone | MigrateVFolder]
) -> None:
    wish = command(
        source=VFolderId.parse(FOLDER), destination=VFolderId.parse(OTHER), source_volume=VolumeName("gone")
    )
    answer = await world.gate.commander.ask(VolumeName("disk"), wish, Asker(Origin()))
    task = answer["task"]
    assert (await world.manager("DELETE", f"/tasks/{task}")).status == 202
    await Direct(world.bus, world.volume).start(CloneJob(volume="disk", build=task))
    await world.settled(lambda: world.events("clone.abandoned") or world.events("vfolder.migration.abandoned"))
    assert (await world.manager("GET", f"/tasks/{task}")).json["state"] == "cancelled"
    assert await world.volume.builds() == []
