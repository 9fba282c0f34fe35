"""What a bus tells of itself, and of folders."""

from __future__ import annotations

from bus.conformance.opening import OpensBus
from bus.conformance.words import SCOPE, VOLUME, a_command, a_dead_letter, a_folder, an_upload, done, take
from domain.catalogue import (
    ALL_FOLDERS,
    FolderRecord,
    folder_member,
    folder_record,
    owner_index,
    volume_index,
)


class State(OpensBus):
    """What a bus tells of itself, and of folders."""

    async def test_a_lane_tells_how_it_stands(self) -> None:
        async with self.open_bus("a") as bus:
            empty = await bus.inspection.lane(VOLUME)
            assert (empty.owner, empty.waiting, empty.oldest_seconds, empty.dead_letters) == ("", 0, None, 0)
            for _ in range(3):
                await bus.commands.publish(a_command(bus))
            lane = await take(bus)
            first, second, _ = await lane.receive()
            await lane.commit([done(first), a_dead_letter(second)])
            status = await bus.inspection.lane(VOLUME)
            assert (status.owner, status.epoch) == (bus.node, lane.epoch)
            assert (status.waiting, status.dead_letters) == (1, 1)
            assert status.oldest_seconds is not None
            assert 0 <= status.oldest_seconds < 60

    async def test_readers_tell_how_far_they_are(self) -> None:
        async with self.open_bus("a") as bus:
            assert await bus.inspection.readers() == []
            async with bus.events.follow("archive") as subscription:
                await bus.events.publish(an_upload(bus, a_folder(), 1))
                async for event in subscription:
                    await subscription.save(event.position)
                    break
            (reader,) = await bus.inspection.readers()
            assert (reader.reader, reader.position) == ("archive", event.position)
            assert 0 <= reader.silent_seconds < 60

    async def test_a_committed_event_is_in_the_catalogue(self) -> None:
        async with self.open_bus("a") as bus:
            folder = a_folder()
            await bus.commands.publish(a_command(bus, folder))
            lane = await take(bus)
            await lane.commit([done(delivery) for delivery in await lane.receive()])
            (fields,) = await bus.catalogue.fields([folder_record(folder, VOLUME)])
            assert fields is not None
            assert FolderRecord.parse(folder_member(folder, VOLUME), fields).mode == 0o755
            for index in (ALL_FOLDERS, volume_index(VOLUME), owner_index(SCOPE)):
                assert await bus.catalogue.page(index, limit=10) == [folder_member(folder, VOLUME)]

    async def test_an_index_is_read_page_by_page(self) -> None:
        async with self.open_bus("a") as bus:
            folders = sorted(str(a_folder(number)) for number in range(7))
            for number in range(7):
                await bus.commands.publish(a_command(bus, a_folder(number)))
            lane = await take(bus)
            await lane.commit([done(delivery) for delivery in await lane.receive()])
            pages: list[str] = []
            while page := await bus.catalogue.page(ALL_FOLDERS, after=pages[-1] if pages else "", limit=3):
                pages += page
            assert pages == [f"{folder}@{VOLUME}" for folder in folders]
            assert await bus.catalogue.count(ALL_FOLDERS) == len(folders)
            assert await bus.catalogue.count("index:nothing") == 0
