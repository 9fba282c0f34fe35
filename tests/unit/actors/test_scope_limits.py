"""Limits a scope is made with: by a folder that is the first of its owner, or by whoever sets one."""

from __future__ import annotations

from uuid import UUID

import pytest

from actors.counting import scope_usage
from actors.handlers.effect import Effect, Ground
from actors.handlers.folders import create_vfolder, delete_files
from actors.handlers.scopes import set_quota
from backends.contract import Operation
from backends.memory import MemoryVolume
from bus.contract import Bus
from bus.memory import MemoryStore, open_memory_bus
from bus.settings import BusSettings
from domain.commands import CreateVFolder, DeleteFiles, SetQuota
from domain.errors import BackendUnavailableError, NotFoundError
from domain.ids import QuotaScopeId, ScopeKind, VFolderId, VolumeName

pytestmark = pytest.mark.anyio

DISK = VolumeName("disk")
SCOPE = QuotaScopeId(ScopeKind.USER, UUID(int=7))
ONE, TWO = VFolderId(SCOPE, UUID(int=1)), VFolderId(SCOPE, UUID(int=2))


class Dying(MemoryVolume):
    """Everything ends before a limit is set, once."""

    is_alive = False

    async def set_quota(
        self, op: Operation, scope: QuotaScopeId, limit_bytes: int | None, soft_bytes: int | None = None
    ) -> None:
        if not self.is_alive:
            self.is_alive = True
            raise BackendUnavailableError("it is over")
        await super().set_quota(op, scope, limit_bytes, soft_bytes)


def ground(volume: MemoryVolume, bus: Bus) -> Ground:
    return Ground(volume, scope_usage(volume, bus, 60), bus.catalogue)


def told(effect: Effect) -> list[tuple[str, int | None]]:
    """Events, each with its limit if it has one."""
    return [(event.type, getattr(event, "limit_bytes", None)) for event in effect.events]


@pytest.fixture
async def bus() -> Bus:
    async with open_memory_bus(MemoryStore(), BusSettings(), "actor") as opened:
        yield opened


async def test_the_first_folder_makes_the_scope_with_its_limit(bus: Bus) -> None:
    volume = MemoryVolume(DISK)
    first = await create_vfolder(
        CreateVFolder(folder=ONE, scope_limit_bytes=5), Operation(UUID(int=1)), ground(volume, bus)
    )
    assert told(first) == [("quota.scope.created", 5), ("vfolder.created", None)]
    second = await create_vfolder(
        CreateVFolder(folder=TWO, scope_limit_bytes=9), Operation(UUID(int=2)), ground(volume, bus)
    )
    assert told(second) == [("vfolder.created", None)]
    assert (await volume.quota(SCOPE)).limit_bytes == 5


async def test_what_dies_before_the_limit_is_set_sets_it_when_it_is_done_again(bus: Bus) -> None:
    volume, op = Dying(DISK), Operation(UUID(int=1))
    command = CreateVFolder(folder=ONE, scope_limit_bytes=5)
    with pytest.raises(BackendUnavailableError):
        await create_vfolder(command, op, ground(volume, bus))
    assert (await volume.quota(SCOPE)).limit_bytes is None
    for _ in range(2):
        again = await create_vfolder(command, op, ground(volume, bus))
        assert told(again) == [("quota.scope.created", 5), ("vfolder.created", None)]
        assert (await volume.quota(SCOPE)).limit_bytes == 5


async def test_a_limit_makes_its_scope_once(bus: Bus) -> None:
    volume, op = Dying(DISK), Operation(UUID(int=1))
    command = SetQuota(scope=SCOPE, limit_bytes=5, soft_bytes=3, make=True)
    with pytest.raises(BackendUnavailableError):
        await set_quota(command, op, ground(volume, bus))
    for _ in range(2):
        assert told(await set_quota(command, op, ground(volume, bus))) == [("quota.scope.created", 5)]
    later = SetQuota(scope=SCOPE, limit_bytes=4, make=True)
    assert told(await set_quota(later, Operation(UUID(int=2)), ground(volume, bus))) == [("quota.updated", 4)]
    quota = await volume.quota(SCOPE)
    assert (quota.limit_bytes, quota.soft_bytes) == (4, None)


async def test_a_limit_makes_no_scope_unless_it_is_to(bus: Bus) -> None:
    volume = MemoryVolume(DISK)
    with pytest.raises(NotFoundError):
        await set_quota(SetQuota(scope=SCOPE, limit_bytes=5), Operation(UUID(int=1)), ground(volume, bus))


@pytest.mark.parametrize("count", [0, 1500])
async def test_so_many_files_are_deleted_as_are_named(bus: Bus, count: int) -> None:
    volume = MemoryVolume(DISK)
    await create_vfolder(CreateVFolder(folder=ONE), Operation(UUID(int=1)), ground(volume, bus))
    names = [f"{number:x}" for number in range(count)]
    command = DeleteFiles(folder=ONE, paths=names, recursive=True)
    effect = await delete_files(command, Operation(UUID(int=2)), ground(volume, bus))
    assert effect.result == {"paths": []}
    assert told(effect)[-1] == ("files.purged", None)
