"""Records of uploads."""

from __future__ import annotations

import math
from dataclasses import replace
from uuid import uuid4

import anyio
import pytest

from bus.conformance.opening import OpensBus
from bus.conformance.words import a_folder, an_upload, read
from bus.contract import FIRST_REVISION, Bus, Lease
from domain.catalogue import Index, Unindex
from domain.errors import FencedError


class Records(OpensBus):
    """Records of uploads."""

    async def test_a_record_is_made_once_and_changed_by_compare_and_set(self) -> None:
        async with self.open_bus("a") as bus:
            assert await bus.records.create("upload:1", {"n": 1}, keep_seconds=60, due=0)
            assert not await bus.records.create("upload:1", {"n": 2}, keep_seconds=60, due=0)
            record = await bus.records.load("upload:1")
            assert record is not None
            assert (record.document, record.revision) == ({"n": 1}, FIRST_REVISION)
            change = {"revision": record.revision, "keep_seconds": 60, "due": None}
            assert await bus.records.replace("upload:1", {"n": 3}, **change)  # type: ignore[arg-type]
            assert not await bus.records.replace("upload:1", {"n": 4}, **change)  # type: ignore[arg-type]
            changed = await bus.records.load("upload:1")
            assert changed is not None
            assert changed.document == {"n": 3}

    async def test_a_record_is_not_changed_by_who_has_lost_the_lease_of_what_it_tells_of(self) -> None:
        async with self.open_bus("a") as one, self.open_bus("b") as two:
            await one.records.create("upload:1", {"n": 1}, keep_seconds=60, due=None)
            async with one.leases.hold("x", wait_seconds=0) as before:
                assert await self._change(one, revision=1, lease=before)
            async with two.leases.hold("x", wait_seconds=1) as now:
                with pytest.raises(FencedError):
                    await self._change(one, revision=2, lease=before)
                assert not await self._change(two, revision=1, lease=now)
                assert await self._change(two, revision=2, lease=now)

    @staticmethod
    async def _change(bus: Bus, *, revision: int, lease: Lease) -> bool:
        return await bus.records.replace(
            "upload:1", {"n": 2}, revision=revision, keep_seconds=60, due=None, lease=lease
        )

    async def test_a_record_change_and_its_event_are_one_step(self) -> None:
        async with self.open_bus("a") as bus, bus.events.follow("gateway") as subscription:
            await bus.records.create("upload:1", {}, keep_seconds=60, due=0)
            event = an_upload(bus, a_folder(), 1)
            for revision in (1, 1, 2):
                await bus.records.replace(
                    "upload:1", {}, revision=revision, keep_seconds=60, due=None, event=replace(event, id=uuid4())
                )
            last = an_upload(bus, a_folder(), 2)
            await bus.events.publish(last)
            seen = await read(subscription, 3)
            assert seen[2] == last

    async def test_a_record_change_and_what_it_changes_besides_are_one_step(self) -> None:
        async with self.open_bus("a") as bus:
            await bus.records.create("upload:1", {}, keep_seconds=60, due=None)
            await bus.catalogue.apply([Index("index:x", member) for member in ("one", "two", "three")])
            for revision, member in ((2, "one"), (1, "two")):
                done = await bus.records.replace(
                    "upload:1",
                    {},
                    revision=revision,
                    keep_seconds=60,
                    due=None,
                    changes=[Unindex("index:x", member), Index("index:y", member)],
                )
                assert done == (revision == 1)
            assert list(await bus.catalogue.page("index:x", limit=9)) == ["one", "three"]
            assert list(await bus.catalogue.page("index:y", limit=9)) == ["two"]

    async def test_a_record_is_made_and_dropped_in_one_step_with_what_it_changes_besides(self) -> None:
        async with self.open_bus("a") as bus:
            for member, made in (("one", True), ("two", False)):
                done = await bus.records.create(
                    "upload:1", {}, keep_seconds=60, due=0, changes=[Index("index:x", member)]
                )
                assert done == made
            assert list(await bus.catalogue.page("index:x", limit=9)) == ["one"]
            await bus.records.remove("upload:1", [Unindex("index:x", "one"), Index("index:y", "one")])
            assert await bus.records.load("upload:1") is None
            assert list(await bus.catalogue.page("index:x", limit=9)) == []
            assert list(await bus.catalogue.page("index:y", limit=9)) == ["one"]

    async def test_what_is_to_change_without_a_record_changes_only_while_there_is_none(self) -> None:
        async with self.open_bus("a") as bus:
            index = "index:things"
            await bus.catalogue.apply([Index(index, "a"), Index(index, "b")])
            assert await bus.records.apply_without("upload:1", [Unindex(index, "a")])
            await bus.records.create("upload:1", {}, keep_seconds=60, due=None)
            assert not await bus.records.apply_without("upload:1", [Unindex(index, "b")])
            assert await bus.catalogue.page(index, limit=10) == ["b"]

    async def test_due_records_are_listed_oldest_first_until_they_are_settled(self) -> None:
        async with self.open_bus("a") as bus:
            for number, due in ((1, 30.0), (2, 10.0), (3, 20.0), (4, 99.0)):
                await bus.records.create(f"upload:{number}", {}, keep_seconds=60, due=due)
            names = ["upload:2", "upload:3", "upload:1"]
            assert await bus.records.due("upload", before=50, limit=10) == names
            assert await bus.records.due("upload", before=50, limit=2) == names[:2]
            assert await bus.records.due("upload", before=math.inf, limit=10) == [*names, "upload:4"]
            await bus.records.remove("upload:2")
            await bus.records.replace("upload:3", {}, revision=1, keep_seconds=60, due=None)
            assert await bus.records.due("upload", before=50, limit=10) == ["upload:1"]
            assert await bus.records.load("upload:2") is None

    async def test_a_record_expires(self) -> None:
        async with self.open_bus("a") as bus:
            await bus.records.create("upload:1", {}, keep_seconds=0.05, due=0)
            await anyio.sleep(0.1)
            assert await bus.records.load("upload:1") is None
