"""Who is blamed for the death of an owner."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio
import pytest

from actors.caution import Caution
from bus.conformance.words import a_command
from bus.contract import Delivery, Lane
from bus.memory import MemoryStore, open_memory_bus
from bus.settings import BusSettings
from domain.ids import VolumeName

pytestmark = pytest.mark.anyio

DISK, SHELF = VolumeName("disk"), VolumeName("shelf")
BUS = BusSettings(lease_seconds=0.2, upload_lease_seconds=0.2)


@dataclass
class Owned:
    """A lane, what waits in it, and its owner's care."""

    lane: Lane
    caution: Caution
    waiting: list[Delivery]


@asynccontextmanager
async def owner(store: MemoryStore, node: str, *volumes: VolumeName) -> AsyncIterator[list[Owned]]:
    """Who owns these volumes until it dies."""
    solo = anyio.Lock()
    async with open_memory_bus(store, BUS, node) as bus:
        owned = []
        for volume in volumes:
            with anyio.fail_after(5):
                while (lane := await bus.lanes.acquire(volume)) is None:
                    await anyio.sleep(0.01)
            owned.append(Owned(lane, Caution(lane, 4, solo), list(await lane.receive())))
        yield owned


@asynccontextmanager
async def commands(*volumes: VolumeName) -> AsyncIterator[MemoryStore]:
    """A command for each of these; an owner has died over them already."""
    store = MemoryStore()
    async with open_memory_bus(store, BUS, "manager") as bus:
        for volume in volumes:
            await bus.commands.publish(a_command(bus, volume=volume))
        async with owner(store, "first", *dict.fromkeys(volumes)):
            pass
        yield store


async def test_who_ended_is_not_blamed_for_what_another_volume_does() -> None:
    async with commands(DISK, SHELF) as store:
        async with owner(store, "second", DISK, SHELF) as owned:
            for one in owned:
                await one.caution.before(one.waiting[0])
        for number in range(3):
            async with owner(store, f"third{number}", DISK, SHELF) as (disk, shelf):
                async with shelf.caution.alone(shelf.waiting[0]):
                    await shelf.caution.before(shelf.waiting[0])
                with anyio.CancelScope() as death:
                    async with disk.caution.alone(disk.waiting[0]):
                        await disk.caution.before(disk.waiting[0])
                        death.cancel()
                        await anyio.sleep_forever()
        async with owner(store, "last", DISK, SHELF) as (disk, shelf):
            assert disk.caution.deaths(disk.waiting[0]) == 4
            assert not shelf.caution.suspects(shelf.waiting[0])


async def test_a_suspect_that_waits_keeps_its_count() -> None:
    async with commands(DISK, DISK) as store:
        for number in range(4):
            async with owner(store, f"second{number}", DISK) as (disk,):
                for delivery in disk.waiting:
                    await disk.caution.before(delivery)
        async with owner(store, "third", DISK) as (disk,):
            await disk.caution.before(disk.waiting[0])
        async with owner(store, "last", DISK) as (disk,):
            assert [disk.caution.deaths(delivery) for delivery in disk.waiting] == [5, 4]
