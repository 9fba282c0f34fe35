"""How long uploads are kept: for a time after their last byte, however they come."""

from __future__ import annotations

from collections.abc import AsyncIterator
from email.utils import parsedate_to_datetime
from itertools import pairwise
from pathlib import Path

import anyio
import pytest
from harness.fields import BODY
from harness.line import Line
from harness.tus import Collection
from harness.uploads import let_pass
from harness.world import World, open_world

from bus.codec import decode_document
from gateway.uploads.session import UploadState

pytestmark = pytest.mark.anyio

#: How long they are kept, in seconds.
KEPT = 100.0


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path, upload_seconds=KEPT) as found:
        await found.make_folder()
        yield found


async def passed(world: World, monkeypatch: pytest.MonkeyPatch, seconds: float, *urls: str) -> Collection:
    """So much later, when none of these uploads is kept open any more and it was looked for those that are over."""
    for url in urls:
        await world.let_go(url)
    let_pass(monkeypatch, seconds)
    await world.gate.uploads.sweep(10)
    return await Collection.open(world)


# [B11]
@pytest.mark.parametrize("kept", [KEPT, 8.0])
async def test_each_byte_has_it_be_kept_for_longer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: float
) -> None:
    async with open_world(tmp_path, upload_seconds=kept) as world:
        await world.make_folder()
        files = await Collection.open(world)
        url, told = await files.begin(9), list[float]()
        for step in range(4):
            files = await passed(world, monkeypatch, step * kept * 0.6, url)
            answer = await files.patch(url, step, b"x")
            assert answer.status == 204
            told.append(parsedate_to_datetime(answer.headers["Upload-Expires"]).timestamp())
        steps = [after - before for before, after in pairwise(told)]
        assert all(abs(step - kept * 0.6) < kept * 0.2 + 1 for step in steps)
        files = await passed(world, monkeypatch, 3 * kept * 0.6 + kept + 1, url)
        assert (await files.head(url)).status == 410


# [B11]
async def test_one_that_is_kept_open_is_kept_for_longer_too(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its client comes back sooner than it is given back, again and again."""
    files = await Collection.open(world)
    url = await files.begin(9)
    for step in range(3):
        let_pass(monkeypatch, step * 60)
        files = await Collection.open(world)
        assert (await files.patch(url, step, b"x")).status == 204
    await world.let_go(url)
    await world.gate.uploads.sweep(10)
    assert (await files.head(url)).headers["Upload-Offset"] == "3"


# [B11]
async def test_asking_for_it_has_it_be_kept_for_longer_too(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    files = await Collection.open(world)
    url = await files.begin(9)
    for step in range(4):
        files = await passed(world, monkeypatch, step * 60, url)
        assert (await files.head(url)).status == 200


# [B11]
@pytest.mark.parametrize("method", ["HEAD", "PATCH"])
async def test_when_its_time_is_over_it_is_gone_though_nobody_has_looked(
    world: World, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    files = await Collection.open(world)
    url = await files.begin(9)
    assert (await files.patch(url, 0, b"x")).status == 204
    await world.let_go(url)
    let_pass(monkeypatch, KEPT + 1)
    answer = await files.ask(method, url, {**BODY, "Upload-Offset": "1"})
    assert answer.status == 410


# [A12] [B11]
async def test_a_request_may_take_longer_than_it_is_kept(tmp_path: Path) -> None:
    """Whoever is killed, or cut off, meanwhile."""
    async with open_world(tmp_path, upload_seconds=3.0) as world:
        await world.make_folder()
        files = await Collection.open(world)
        url = await files.begin(1000)
        bearer = {"Authorization": f"Bearer {files.token}"}
        async with Line.open(world) as line:
            line.head("PATCH", url, {**BODY, **bearer, "Upload-Offset": "0", "Content-Length": "1000"})
            for _ in range(20):
                line.send(b"x" * 10)
                await anyio.sleep(0.2)
            record = world.store.records[f"upload:{url.rpartition('/')[2]}"]
            left = float(str(decode_document(record.data)["expires"])) - world.bus.clock.now()
            assert 1.5 < left <= 3.0
        await world.gate.uploads.sweep(10)
        answer = await files.head(url)
        assert (answer.status, answer.headers["Upload-Offset"]) == (200, "200")


# [B11] [B18]
async def test_a_whole_and_its_parts_are_kept_as_long_as_one_is_used(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = await Collection.open(world)
    done, used = await files.part(3, b"abc"), await files.part(4)
    whole = await files.begin(None, "whole", Upload_Concat=f"final;{done} {used}")
    for step in range(4):
        files = await passed(world, monkeypatch, step * 60, done, used, whole)
        assert (await files.patch(used, step, b"defg"[step : step + 1])).status == 204
    assert (await files.head(whole)).headers["Upload-Offset"] == "7"
    assert (world.folder / "whole").read_bytes() == b"abcdefg"


# [B11] [B18]
async def test_a_whole_that_is_being_dropped_is_not_kept_by_its_parts(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who was to drop it has died, and what is left of it is freed in the next round."""
    files = await Collection.open(world)
    part = await files.part(4)
    whole = await files.begin(None, "whole", Upload_Concat=f"final;{part}")
    assert await world.gate.uploads.sessions.condemn(whole.rpartition("/")[2])
    await world.let_go(part)
    let_pass(monkeypatch, 60)
    files = await Collection.open(world)
    assert (await files.patch(part, 0, b"d")).status == 204
    await world.gate.uploads.sweep(10)
    known = await world.gate.uploads.sessions.load(whole.rpartition("/")[2])
    assert known is not None
    assert known.session.state is UploadState.GONE
