"""The end of a purge is told once, and told again where nobody took it."""

from __future__ import annotations

from uuid import UUID

import pytest

from actors.jobs.contract import PurgeJob
from actors.jobs.purge import purge
from backends.contract import Operation
from backends.memory import MemoryVolume
from bus.contract import Bus
from bus.memory import MemoryStore, open_memory_bus
from bus.settings import BusSettings
from domain.ids import QuotaScopeId, ScopeKind, VFolderId, VolumeName

pytestmark = pytest.mark.anyio

DISK = VolumeName("disk")
SCOPE = QuotaScopeId(ScopeKind.USER, UUID(int=7))
FOLDER, TRASH = VFolderId(SCOPE, UUID(int=1)), UUID(int=2)


async def waiting(bus: Bus) -> int:
    return (await bus.inspection.lane(DISK)).waiting


async def test_what_was_set_aside_is_told_again(monkeypatch: pytest.MonkeyPatch) -> None:
    volume, job = MemoryVolume(DISK), PurgeJob(volume=DISK, folder=FOLDER, trash=TRASH)
    await volume.ensure_scope(Operation(UUID(int=3)), SCOPE)
    await volume.create_folder(Operation(UUID(int=4)), FOLDER, 0o755)
    await volume.delete_folder(Operation(TRASH), FOLDER)
    async with open_memory_bus(MemoryStore(), BusSettings(), "worker") as bus:
        clock, began = bus.clock, 3600.0 * 500_000 + 1
        for later, commands in ((0, 1), (60, 1), (3600, 2), (3660, 2)):
            monkeypatch.setattr(clock, "now", lambda now=began + later: now)
            await purge(job, volume, bus)
            assert await waiting(bus) == commands
        # Once it is forgotten there is nothing to tell.
        await volume.drop_trash(TRASH)
        monkeypatch.setattr(clock, "now", lambda: began + 7200)
        await purge(job, volume, bus)
        assert await waiting(bus) == 2
