"""What an attempt at a copy finds out about the ones before it."""

from __future__ import annotations

from typing import cast
from uuid import UUID

import pytest

from actors.jobs.copying import Copying
from actors.jobs.running import Progress, RunningTask
from backends.memory import MemoryVolume
from backends.powers import BuildPlan, BuildsFolders
from bus.contract import Lease
from bus.memory import MemoryStore, open_memory_bus
from bus.settings import BusSettings
from domain.envelope import wrap_event
from domain.events import MigrationAccepted
from domain.ids import QuotaScopeId, ScopeKind, VFolderId, VolumeName

pytestmark = pytest.mark.anyio

DISK, OTHER = VolumeName("disk"), VolumeName("other")
FOLDER, TASK = VFolderId(QuotaScopeId(ScopeKind.USER, UUID(int=7)), UUID(int=1)), UUID(int=2)
TOLD = Progress(items=1, items_total=3, size_bytes=10, size_bytes_total=30)


@pytest.mark.parametrize("is_known", [True, False])
async def test_a_task_of_which_only_its_progress_is_known_goes_on(*, is_known: bool) -> None:
    """Redis may have forgotten how it began."""
    volume, plan = MemoryVolume(DISK), BuildPlan(TASK, OTHER, FOLDER, FOLDER, moves=True)
    async with open_memory_bus(MemoryStore(), BusSettings(), "worker") as bus:
        task = RunningTask(TASK, DISK, bus, cast("Lease", None))
        if is_known:
            began = MigrationAccepted(
                volume=DISK, source=FOLDER, destination=FOLDER, source_volume=OTHER, task=TASK
            )
            await bus.events.publish(wrap_event(began, id=bus.clock.new_id(), time=bus.clock.now()))
        await task.tell_progress(TOLD)
        copying = Copying(plan, volume, volume, cast("BuildsFolders", volume), task)
        await copying.recall()
        assert copying.is_admitted
        assert copying.total.size_bytes_total == (30 if is_known else 0)
