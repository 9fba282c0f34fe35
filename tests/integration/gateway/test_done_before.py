"""What an actor did before it died is done: nobody refuses it for what has happened since."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from harness.world import FOLDER, OTHER, SCOPE, World

from actors.counting import scope_usage
from actors.handlers.effect import Effect, Ground
from actors.handlers.table import HANDLERS
from backends.contract import Operation
from domain.commands import CreateVFolder, FinishClone, MigrateVFolder, RequestClone
from domain.errors import NotFoundError, QuotaExceededError
from domain.ids import VFolderId
from domain.messages import Command
from domain.paths import RelativePath

pytestmark = [pytest.mark.anyio, pytest.mark.folder]

SOURCE, TARGET = VFolderId.parse(FOLDER), VFolderId.parse(OTHER)
ELSEWHERE = "user:22222222-2222-4222-8222-222222222222"
THERE, NEIGHBOUR = (f"{ELSEWHERE}/aabb000{number}-0000-4000-8000-000000000001" for number in (1, 2))


@dataclass
class Owner:
    """Does one command as often as its actor dies."""

    world: World
    command: Command
    op: Operation

    async def act(self) -> Effect:
        volume, bus = self.world.volume, self.world.bus
        ground = Ground(volume, scope_usage(volume, bus, 0), bus.catalogue)
        return await HANDLERS[type(self.command)].handle(self.command, self.op, ground)


async def operation(world: World) -> Operation:
    return Operation(world.bus.clock.new_id(), await world.volume.epoch())


async def owner_of(world: World, command: Command) -> Owner:
    return Owner(world, command, await operation(world))


def told(effect: Effect) -> list[Any]:
    return [(event.type, event.body()) for event in effect.events]


async def fill(world: World, scope: str, folder: str) -> None:
    """Have an owner use all it may, and a byte more."""
    await world.upload("more", b"12345", folder)
    body = {"volume": "disk", "qsid": scope, "options": {"limit_bytes": 4}}
    assert (await world.manager("PATCH", "/quota-scope", body)).status == 204


@pytest.mark.parametrize(
    "command", [CreateVFolder(folder=TARGET), RequestClone(source=SOURCE, destination=TARGET)], ids=lambda c: c.type
)
async def test_it_is_not_refused_for_want_of_room(world: World, command: Command) -> None:
    owner = await owner_of(world, command)
    before = await owner.act()
    await fill(world, SCOPE, FOLDER)
    assert told(await owner.act()) == told(before)


async def test_what_was_not_done_is_refused_for_want_of_room(world: World) -> None:
    await fill(world, SCOPE, FOLDER)
    for command in (CreateVFolder(folder=TARGET), RequestClone(source=SOURCE, destination=TARGET)):
        with pytest.raises(QuotaExceededError):
            await (await owner_of(world, command)).act()


@pytest.mark.parametrize("half", [True, False])
async def test_a_folder_that_has_gone_to_its_new_owner_is_there(world: World, half: bool) -> None:
    await world.make_folder(NEIGHBOUR)
    await world.upload("a", b"1")
    owner = await owner_of(world, MigrateVFolder(source=SOURCE, destination=VFolderId.parse(THERE)))
    if half:  # its actor dies when it has taken the folder from its old place
        await world.volume.withdraw_folder(owner.op, SOURCE, owner.op.id)
    else:
        await owner.act()
    await fill(world, ELSEWHERE, NEIGHBOUR)
    assert [type_ for type_, _ in told(await owner.act())] == ["vfolder.migrated"]
    assert await world.volume.trash() == []
    await world.volume.files(VFolderId.parse(THERE)).stat(RelativePath(("a",)))


async def test_a_clone_whose_source_goes_is_begun_all_the_same(world: World) -> None:
    owner = await owner_of(world, RequestClone(source=SOURCE, destination=TARGET))
    before = await owner.act()
    await world.volume.delete_folder(await operation(world), SOURCE)
    assert told(await owner.act()) == told(before)
    with pytest.raises(NotFoundError):
        await (await owner_of(world, owner.command)).act()


async def copied(world: World) -> FinishClone:
    """How a worker tells that a clone is copied."""
    begun = await owner_of(world, RequestClone(source=SOURCE, destination=TARGET))
    await begun.act()
    copy = await world.volume.copy_into(begun.op.id, "a", await world.volume.tree(SOURCE))
    while not await copy.step():
        pass
    await copy.close()
    return FinishClone(
        source=SOURCE, destination=TARGET, task=begun.op.id, attempt="a", entries=copy.items, size_bytes=0
    )


async def test_what_is_finished_is_not_given_up_by_an_end_that_comes_late(world: World) -> None:
    """One that was set aside, while another attempt came to the end, and is redriven."""
    finish = await copied(world)
    owner = await owner_of(world, finish)
    for _ in range(2):
        assert [type_ for type_, _ in told(await owner.act())] == ["clone.completed"]
    with pytest.raises(NotFoundError):
        await (await owner_of(world, finish.model_copy(update={"attempt": "0"}))).act()


async def test_what_is_in_the_way_of_a_clone_stays_and_the_clone_is_given_up(world: World) -> None:
    owner = await owner_of(world, await copied(world))
    await world.make_folder(OTHER)
    for _ in range(2):
        assert [type_ for type_, _ in told(await owner.act())] == ["clone.abandoned"]
