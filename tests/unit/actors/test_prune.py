"""Old snapshots are dropped, the newest ones stay."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest

from actors.jobs.contract import WorkJob
from actors.jobs.work import do_work
from backends.contract import Operation
from backends.memory.volume import MemoryVolume
from backends.powers import Work
from bus.memory import MemoryStore, open_memory_bus
from bus.settings import BusSettings
from domain.ids import QuotaScopeId, VFolderId, VolumeName, uuid7
from domain.task_commands import FinishTask
from domain.tasks import TaskKind

pytestmark = pytest.mark.anyio

DISK = VolumeName("disk")
SCOPE = QuotaScopeId.parse("user:11111111-1111-4111-8111-111111111111")
FOLDERS = [VFolderId(SCOPE, UUID(int=number)) for number in (1, 2, 3)]


def op() -> Operation:
    return Operation(uuid4())


async def prepared() -> MemoryVolume:
    """Folders with five, two and no snapshots."""
    volume = MemoryVolume(DISK)
    await volume.create_scope(op(), SCOPE, None)
    for folder, count in zip(FOLDERS, (5, 2, 0), strict=True):
        await volume.create_folder(op(), folder, 0o755)
        for number in range(count):
            await volume.create_snapshot(op(), folder, f"s{number}")
    return volume


@pytest.mark.parametrize("only", [None, FOLDERS[0]])
async def test_the_newest_stay(only: VFolderId | None) -> None:
    volume, store = await prepared(), MemoryStore()
    begun = Operation(uuid7(1_700_000_000_000, bytes(10)))
    await volume.begin_work(begun, Work(begun.id, TaskKind.PRUNE, only, {"keep_last": 3}))
    async with open_memory_bus(store, BusSettings(), "worker") as bus:
        for _ in range(2):  # a second worker finds nothing left to drop
            await do_work(WorkJob(volume=DISK, work=begun.id), {DISK: volume}, bus)
        lane = await bus.lanes.acquire(DISK)
        assert lane is not None
        first, *_ = await lane.receive()
    assert [await volume.snapshots(folder) for folder in FOLDERS] == [["s2", "s3", "s4"], ["s0", "s1"], []]
    assert first.envelope is not None
    assert first.envelope.type == FinishTask.type
    assert first.envelope.body["result"] == {"dropped": 2}


async def test_all_can_be_dropped() -> None:
    volume, store = await prepared(), MemoryStore()
    begun = Operation(uuid7(1_700_000_000_000, bytes(10)))
    await volume.begin_work(begun, Work(begun.id, TaskKind.PRUNE, None, {"keep_last": 0}))
    async with open_memory_bus(store, BusSettings(), "worker") as bus:
        await do_work(WorkJob(volume=DISK, work=begun.id), {DISK: volume}, bus)
    assert [await volume.snapshots(folder) for folder in FOLDERS] == [[], [], []]
