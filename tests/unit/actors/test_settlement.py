"""What becomes of a folder that was taken from its place, when nobody is left who did that."""

from __future__ import annotations

from uuid import UUID

import pytest

from actors.jobs.settlement import settle_if_over
from backends.contract import TrashEntry
from bus.contract import Bus
from bus.memory import MemoryStore, open_memory_bus
from bus.settings import BusSettings
from domain.envelope import wrap_event
from domain.events import MigrationAbandoned, MigrationAccepted, VFolderMigrated, VFolderWithdrawn
from domain.ids import VFolderId, VolumeName
from domain.messages import Event

pytestmark = pytest.mark.anyio

HERE, THERE = VolumeName("disk"), VolumeName("other")
FOLDER = VFolderId.parse("user:11111111-1111-4111-8111-111111111111/aabb0001000040008000000000000001")
TASK, TRASH = UUID(int=1), UUID(int=2)
NAMES = {"volume": THERE, "source": FOLDER, "source_volume": HERE, "destination": FOLDER, "task": TASK}

ACCEPTED = MigrationAccepted(**NAMES)
MIGRATED = VFolderMigrated(**NAMES)
ABANDONED = MigrationAbandoned(**NAMES)
WITHDRAWN = VFolderWithdrawn(
    volume=HERE, folder=FOLDER, trash=TRASH, task=TASK, destination=FOLDER, destination_volume=THERE
)


async def tell(bus: Bus, event: Event) -> None:
    await bus.events.publish(wrap_event(event, id=bus.clock.new_id(), time=bus.clock.now()))


async def settled(*events: Event) -> list[str]:
    """Commands that are sent after these events."""
    async with open_memory_bus(MemoryStore(), BusSettings(), "actor") as bus:
        for event in events:
            await tell(bus, event)
        await settle_if_over(bus, TrashEntry(TRASH, FOLDER, held=TASK), HERE)
        lane = await bus.lanes.acquire(HERE)
        assert lane is not None
        if not (await bus.inspection.lane(HERE)).waiting:
            return []
        return [delivery.envelope.type for delivery in await lane.receive() if delivery.envelope is not None]


@pytest.mark.parametrize(
    ("events", "command"),
    [
        ((ACCEPTED, WITHDRAWN), []),
        ((ACCEPTED, WITHDRAWN, MIGRATED), ["vfolder.purge"]),
        ((ACCEPTED, WITHDRAWN, ABANDONED), ["vfolder.restore"]),
        # Its owner died after it was taken, and told of that when it was at its new place already.
        ((ACCEPTED, MIGRATED, WITHDRAWN), ["vfolder.purge"]),
        ((ACCEPTED, ABANDONED, WITHDRAWN), ["vfolder.restore"]),
        # Nobody has told of that at all.
        ((ACCEPTED,), []),
        ((ACCEPTED, MIGRATED), ["vfolder.purge"]),
        ((ACCEPTED, ABANDONED), ["vfolder.restore"]),
    ],
)
async def test_it_is_at_one_place_whoever_tells_late(events: tuple[Event, ...], command: list[str]) -> None:
    assert await settled(*events) == command
