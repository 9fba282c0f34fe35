"""Lengths that are told late: what they reserve is judged, whatever happens in between."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from harness.limits import dying_before_it_is_judged
from harness.tus import Collection
from harness.uploads import reserved
from harness.world import FOLDER, World, open_world

from bus.codec import decode_document
from bus.memory.records import MemoryRecords
from domain.errors import BusBrokenError
from gateway.quotas import Quotas

pytestmark = pytest.mark.anyio

LIMIT = 500


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path) as opened:
        await opened.make_folder()
        limit = {"volume": "disk", "vfid": FOLDER, "options": {"limit_bytes": LIMIT}}
        assert (await opened.manager("PUT", "/folder/quota", limit)).status == 204
        yield opened


def recorded(world: World) -> dict[str, Any]:
    (document,) = [
        decode_document(record.data) for name, record in world.store.records.items() if name.startswith("upload:")
    ]
    return document


async def test_what_could_not_be_judged_is_not_reserved(
    world: World, files: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = await files.begin(None, Upload_Defer_Length="1")
    with monkeypatch.context() as patched:

        async def away(*_: object) -> None:
            raise BusBrokenError("away")

        patched.setattr(Quotas, "judge", away)
        assert (await files.patch(url, 0, b"x", Upload_Length="1000")).status == 503
    assert not any(reserved(world))
    assert (await files.head(url)).headers["Upload-Defer-Length"] == "1"
    assert (await files.patch(url, 0, b"x" * 10, Upload_Length="10")).status == 204
    assert (world.folder / "a").read_bytes() == b"x" * 10


async def test_a_request_that_is_cancelled_while_it_is_judged_reserves_nothing(
    world: World, files: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = await files.begin(None, Upload_Defer_Length="1")
    judging = anyio.Event()

    async def stuck(*_: object) -> None:
        judging.set()
        await anyio.sleep_forever()

    async def tell() -> None:
        uploads = world.gate.uploads
        async with uploads.opened.use(url.rpartition("/")[2]) as opened:
            await uploads._writer.tell_length(opened, 1000)

    with monkeypatch.context() as patched:
        patched.setattr(Quotas, "judge", stuck)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(tell)
            await judging.wait()
            assert reserved(world) == [1000]
            tasks.cancel_scope.cancel()
    assert not any(reserved(world))
    assert recorded(world)["length"] is None


async def test_what_a_process_reserved_that_died_before_it_was_judged(
    world: World, files: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The length is known then, and told by nobody again."""
    url = await files.begin(None, Upload_Defer_Length="1")
    with dying_before_it_is_judged(monkeypatch):
        assert (await files.patch(url, 0, b"x", Upload_Length="1000")).status == 503
    assert (recorded(world)["length"], reserved(world)) == (1000, [1000])
    answer = await files.patch(url, 0, b"x" * 1000)
    assert (answer.status, answer.json["type"]) == (413, "urn:penstock:problem:quota-exceeded")
    assert not (world.folder / "a").exists()


async def test_nothing_is_counted_twice_where_nobody_heard_what_was_recorded(
    world: World, files: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = await files.begin(None, Upload_Defer_Length="1")
    assert (await files.patch(url, 0, b"x" * 10)).status == 204
    replace = MemoryRecords.replace

    async def unheard(*args: Any, **more: Any) -> bool:
        monkeypatch.undo()
        assert await replace(*args, **more)
        raise BusBrokenError("no answer")

    monkeypatch.setattr(MemoryRecords, "replace", unheard)
    assert (await files.patch(url, 10, b"x" * 20)).status == 503
    assert reserved(world) == [10]
    assert (await files.patch(url, 10, b"x" * 40)).status == 204
    assert reserved(world) == [50]
    assert (await files.patch(url, 50, b"x", Upload_Length="51")).status == 204
    assert not reserved(world)
