"""Limits of scopes and folders, hard and soft, wherever bytes come in; and who is told of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from harness.bodies import cut_up, pieces
from harness.fields import BODY
from harness.limits import begin, limit_folder, limit_scope, quota_of
from harness.line import Line
from harness.tus import Collection
from harness.uploads import let_pass, reserved
from harness.world import FOLDER, OTHER, SCOPE, World, open_world

from bus.accounts import Account
from domain.ids import QuotaScopeId
from domain.usage import Quota
from gateway.limits import Limits

pytestmark = pytest.mark.anyio

THERE = "project:99999999-9999-4999-8999-999999999999/aabb0003-0000-4000-8000-000000000003"


@asynccontextmanager
async def watched(path: Path, **actors: Any) -> AsyncIterator[World]:
    """A world in which limits are looked after all the time."""
    settings = {"alert_interval_seconds": 0.02, **actors}
    async with open_world(path, actors=settings) as world:
        yield world


async def test_limits_of_a_folder_are_set_and_removed(world: World) -> None:
    await world.make_folder()
    assert await quota_of(world) == {"used_bytes": None, "limit_bytes": None}
    await limit_folder(world, limit_bytes=100, soft_limit_bytes=50)
    await world.upload("a", bytes(7))
    assert await quota_of(world) == {"used_bytes": 7, "limit_bytes": 100, "soft_limit_bytes": 50}
    await limit_folder(world)
    assert await quota_of(world) == {"used_bytes": None, "limit_bytes": None}
    assert [event.body.get("limit_bytes") for event in world.events("vfolder.quota.updated")] == [100, None]
    assert not list((world.path / ".penstock/quotas").iterdir())


@pytest.mark.parametrize("limited", [limit_folder, limit_scope])
async def test_limits_hold_where_they_were_set_before_their_event_comes(
    world: World, monkeypatch: pytest.MonkeyPatch, limited: Callable[..., Awaitable[None]]
) -> None:
    await world.make_folder()
    monkeypatch.setattr(Limits, "_heard", lambda limits, envelope: None)
    assert await begin(world, "a", 10) == 200
    await limited(world, limit_bytes=5)
    assert await begin(world, "b", 10) == 413


async def test_limits_that_change_while_they_are_looked_up_are_not_remembered(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.make_folder()
    account = Account(world.volume.name, QuotaScopeId.parse(SCOPE))
    look = world.volume.quota

    async def slowly(scope: QuotaScopeId) -> Quota:
        monkeypatch.undo()
        found = await look(scope)
        await limit_scope(world, limit_bytes=15)
        return found

    monkeypatch.setattr(world.volume, "quota", slowly)
    assert (await world.gate.quotas.limits.standing(account)).limit_bytes is None
    assert (await world.gate.quotas.limits.standing(account)).limit_bytes == 15


@pytest.mark.parametrize(
    ("options", "status"),
    [({"limit_bytes": -1}, 400), ({"limit_bytes": "x"}, 400), ({"soft": 1}, 400), ({"limit_bytes": 1 << 63}, 400)],
)
async def test_limits_that_make_no_sense_are_refused(world: World, options: dict[str, Any], status: int) -> None:
    await world.make_folder()
    body = {"volume": "disk", "vfid": FOLDER, "options": options}
    assert (await world.manager("PUT", "/folder/quota", body)).status == status
    assert (await world.manager("PUT", "/folder/quota", {**body, "vfid": OTHER, "options": {}})).status == 404
    assert (await world.manager("GET", "/folder/quota", {"volume": "disk", "vfid": OTHER})).status == 404


async def test_a_folder_takes_no_more_than_its_limit(world: World) -> None:
    await world.make_folder()
    await world.make_folder(OTHER)
    await limit_folder(world, limit_bytes=100)
    await world.upload("a", bytes(60))
    assert await begin(world, "b", 41) == 413
    assert await begin(world, "b", 41, OTHER) == 200, "another folder of the same owner has no limit"
    assert await begin(world, "c", 40) == 200
    assert await begin(world, "d", 1) == 413, "what is begun is counted"
    copied = {"volume": "disk", "vfid": FOLDER, "relpath": "a", "dst_relpath": "e"}
    assert (await world.manager("POST", "/folder/file/copy", copied)).status == 413


async def test_both_limits_hold(world: World) -> None:
    await world.make_folder()
    await world.make_folder(OTHER)
    await limit_scope(world, limit_bytes=100)
    await limit_folder(world, limit_bytes=80)
    await world.upload("a", bytes(50), OTHER)
    assert await begin(world, "b", 81) == 413
    assert await begin(world, "b", 51) == 413, "fits the folder, not the owner"
    assert await begin(world, "b", 50) == 200


async def test_a_folder_keeps_its_limit_wherever_it_goes(world: World) -> None:
    await world.make_folder()
    await limit_folder(world, limit_bytes=10)
    moved = {"src_volume": "disk", "src_vfid": FOLDER, "dst_vfid": THERE}
    assert (await world.manager("POST", "/folder/migrate", moved)).status == 200
    assert (await quota_of(world, THERE))["limit_bytes"] == 10
    assert await begin(world, "a", 11, THERE) == 413
    assert len(list((world.path / ".penstock/quotas").iterdir())) == 1
    await world.manager("POST", "/folder/delete", {"volume": "disk", "vfid": THERE})
    await world.settled(lambda: world.events("vfolder.purged"))
    assert not list((world.path / ".penstock/quotas").iterdir())


def alerts(world: World) -> list[tuple[int, int]]:
    return [(event.body["before"], event.body["percent"]) for event in world.events("quota.alert")]


async def test_thresholds_are_told_once_each_way(tmp_path: Path) -> None:
    async with watched(tmp_path) as world:
        await world.make_folder()
        await limit_scope(world, limit_bytes=100)
        await limit_folder(world, limit_bytes=1000)
        for told, (name, size) in enumerate((("a", 79), ("b", 1), ("c", 11), ("d", 9))):
            await world.upload(name, bytes(size))
            await world.settled(lambda: len(alerts(world)) == told)  # noqa: B023  waited for at once
        assert alerts(world) == [(0, 80), (80, 90), (90, 100)]
        last = world.events("quota.alert")[-1].body
        assert (last["scope"], last["used_bytes"], last["limit_bytes"]) == (SCOPE, 100, 100)
        assert not last["enforced"]
        await world.manager(
            "POST", "/folder/file/delete", {"volume": "disk", "vfid": FOLDER, "relpaths": ["a", "b"]}
        )
        await world.settled(lambda: len(alerts(world)) == 4)
        assert alerts(world)[-1] == (100, 0)
        await limit_folder(world, limit_bytes=20)
        await world.settled(lambda: len(alerts(world)) == 5)
        assert world.events("quota.alert")[-1].body["folder"].endswith("0001000040008000000000000001")
        await anyio.sleep(0.2)
        assert len(alerts(world)) == 5, "and nothing is told twice"


async def test_a_soft_limit_holds_when_it_was_passed_for_too_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with watched(tmp_path, soft_quota_seconds=3600) as world:
        await world.make_folder()
        await limit_scope(world, limit_bytes=100, soft_limit_bytes=50)
        await world.upload("a", bytes(60))
        await world.settled(lambda: world.events("quota.alert"))
        assert await begin(world, "b", 1) == 200, "it may be passed for some time"
        let_pass(monkeypatch, 3601)
        await world.settled(lambda: world.events("quota.alert")[-1].body["enforced"])
        first, last = world.events("quota.alert")[0].body, world.events("quota.alert")[-1].body
        assert (first["enforced"], first["soft_since"]) == (False, last["soft_since"])
        with anyio.fail_after(20):
            while await begin(world, "c", 1) != 413:
                await anyio.sleep(0.05)
        refused = await world.manager("POST", "/folder/create", {"volume": "disk", "vfid": OTHER})
        assert refused.status == 413
        await world.manager("POST", "/folder/file/delete", {"volume": "disk", "vfid": FOLDER, "relpaths": ["a"]})
        await world.settled(lambda: not world.events("quota.alert")[-1].body["enforced"])
        assert "soft_since" not in world.events("quota.alert")[-1].body
        with anyio.fail_after(20):
            while await begin(world, "d", 1) != 200:
                await anyio.sleep(0.05)


async def test_a_clone_has_to_fit_as_well(world: World) -> None:
    await world.make_folder()
    await world.upload("a", bytes(60))
    await limit_scope(world, limit_bytes=100)
    body = {"src_volume": "disk", "src_vfid": FOLDER, "dst_volume": None, "dst_vfid": OTHER}
    assert (await world.manager("POST", "/folder/clone", body)).status == 200
    await world.settled(lambda: world.events("clone.abandoned"))
    assert world.events("clone.abandoned")[0].body["code"] == "quota-exceeded"


async def test_volumes_are_counted_by_the_clock(tmp_path: Path) -> None:
    async with watched(tmp_path, scan_seconds=0.4, full_scan_seconds=1.1) as world:
        await world.make_folder()
        (world.folder / "behind").write_bytes(bytes(30))
        await world.settled(lambda: len(world.events("usage.measured")) >= 3)
        listed = (await world.manager("GET", "/folders")).json["items"]
        assert listed[0]["usage"]["used_bytes"] == 30
        begun = world.events("task.accepted")
        assert len({event.body["task"] for event in begun}) == len(begun)
        assert len(begun) <= 12


# --- uploads whose length is told later --------------------------------------------------------------


async def deferred(files: Collection, name: str = "a") -> str:
    return await files.begin(None, name, Upload_Defer_Length="1")


# [B8]
@pytest.mark.parametrize("chunked", [False, True])
async def test_those_that_grow_together_take_no_more_than_there_is(world: World, chunked: bool) -> None:
    await world.make_folder()
    await limit_folder(world, limit_bytes=1_000_000)
    files = await Collection.open(world)
    urls = [await deferred(files, f"f{number}") for number in range(4)]
    statuses: list[int] = []

    async def send(url: str) -> None:
        data = bytes(600_000)
        answer = await files.patch(url, 0, cut_up(data) if chunked else data)
        statuses.append(answer.status)
        if answer.status == 413:
            assert answer.json["type"] == "urn:penstock:problem:quota-exceeded"

    async with anyio.create_task_group() as tasks:
        for url in urls:
            tasks.start_soon(send, url)
    stored = [int((await files.head(url)).headers["Upload-Offset"]) for url in urls]
    assert sum(stored) <= 1_000_000
    assert sum(reserved(world)) == sum(stored), "what is reserved is what is stored"
    if chunked:
        assert sum(stored) > 900_000, "all that there is is used"
    else:
        assert sorted(statuses) == [204, 413, 413, 413]
        assert sorted(stored) == [0, 0, 0, 600_000]
    winner = urls[stored.index(max(stored))]
    assert (await files.patch(winner, max(stored), b"", Upload_Length=str(max(stored)))).status == 204
    assert len(world.events("file.uploaded")) == 1


# [B8]
async def test_what_grows_leaves_room_for_others(world: World) -> None:
    await world.make_folder()
    await limit_folder(world, limit_bytes=1_000_000)
    files = await Collection.open(world)
    url = await deferred(files)
    fields = {**BODY, "Authorization": f"Bearer {files.token}", "Upload-Offset": "0"}
    async with Line.open(world) as line:
        line.head("PATCH", url, {**fields, "Transfer-Encoding": "chunked"})
        line.send(b"186a0\r\n" + bytes(100_000) + b"\r\n")
        await world.settled(lambda: sum(reserved(world)) >= 100_000)
        assert sum(reserved(world)) < 300_000, "some more than it has, and not all there is"
        assert (await files.create(600_000, "b")).status == 201
        assert (await files.create(600_000, "c")).status == 413
        line.send(b"0\r\n\r\n")
        assert (await line.answer()).status == 204
    assert sum(reserved(world)) == 700_000
    assert (await files.patch(url, 100_000, bytes(300_001))).status == 413
    assert (await files.patch(url, 100_000, bytes(300_000))).status == 204
    assert (await files.patch(url, 400_000, b"x")).status == 413
    assert (await files.patch(url, 400_000, b"", Upload_Length="400000")).status == 204
    assert (await files.delete("/files/" + "0" * 32)).status == 404


# [B8]
async def test_what_a_cut_body_has_reserved_is_given_back(world: World) -> None:
    await world.make_folder()
    await limit_folder(world, limit_bytes=1_000_000)
    files = await Collection.open(world)
    url = await deferred(files)
    fields = {**BODY, "Authorization": f"Bearer {files.token}", "Upload-Offset": "0"}
    async with Line.open(world) as line:
        line.head("PATCH", url, {**fields, "Content-Length": "900000"})
        line.send(bytes(1000))
        await world.settled(lambda: sum(reserved(world)) == 900_000)
    await world.settled(lambda: sum(reserved(world)) == 1000)
    assert (await files.head(url)).headers["Upload-Offset"] == "1000"
    assert (await files.delete(url)).status == 204
    assert sum(reserved(world)) == 0


# [B8] [B9]
async def test_a_length_that_does_not_fit_is_not_taken(world: World) -> None:
    await world.make_folder()
    await limit_folder(world, limit_bytes=1000)
    files = await Collection.open(world)
    url = await deferred(files)
    assert (await files.patch(url, 0, bytes(500))).status == 204
    assert (await files.patch(url, 500, b"", Upload_Length="1001")).status == 413
    assert sum(reserved(world)) == 500
    assert (await files.head(url)).headers["Upload-Defer-Length"] == "1"
    assert (await files.patch(url, 500, b"", Upload_Length="1000")).status == 204
    assert sum(reserved(world)) == 1000
    assert (await files.patch(url, 500, bytes(500))).status == 204
    assert sum(reserved(world)) == 0


async def test_without_a_limit_nothing_is_reserved(world: World) -> None:
    await world.make_folder()
    files = await Collection.open(world)
    url = await deferred(files)
    assert (await files.patch(url, 0, cut_up(bytes(300_000)))).status == 204
    assert sum(reserved(world)) == 0
    assert (await files.patch(url, 300_000, b"", Upload_Length="300000")).status == 204


# [B8]
@pytest.mark.folder
async def test_a_deferred_upload_stays_within_the_quota(world: World, files: Collection) -> None:
    scope = {"volume": "disk", "qsid": FOLDER.partition("/")[0], "options": {"limit_bytes": 10}}
    assert (await world.manager("PATCH", "/quota-scope", scope)).status == 204
    url = await files.begin(None, Upload_Defer_Length="1")
    assert (await files.patch(url, 0, b"x" * 8)).status == 204
    assert (await files.patch(url, 8, b"x" * 3)).status == 413
    answer = await files.patch(url, 8, pieces(b"y", b"y", b"y"))
    assert (answer.status, answer.json["type"]) == (413, "urn:penstock:problem:quota-exceeded")
    assert (await files.head(url)).headers["Upload-Offset"] == "10"
    assert (await files.patch(url, 10, b"", Upload_Length="11")).status == 413
    assert (await files.patch(url, 10, b"", Upload_Length="10")).status == 204
    assert (world.folder / "a").read_bytes() == b"x" * 8 + b"yy"
    assert (await files.create(1, "b")).status == 413
