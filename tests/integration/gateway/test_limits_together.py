"""Limits hold whatever comes together: clones, uploads that were begun before, records that were lost, parts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest
from harness.limits import dying_before_it_is_judged, limit_folder, limit_scope, on_disk
from harness.tus import LARGE, Collection
from harness.uploads import reserved, session_of
from harness.world import FOLDER, OTHER, World, open_world

from domain.errors import PenstockError
from gateway.quotas import Quotas
from gateway.uploads.parts import Parts

pytestmark = pytest.mark.anyio


async def test_a_clone_has_to_fit_beside_what_uploads_have_reserved(world: World) -> None:
    await world.make_folder()
    await world.upload("a", bytes(40))
    await limit_scope(world, limit_bytes=100)
    token = await world.upload_token("b", 60)
    assert reserved(world) == [60]
    body = {"src_volume": "disk", "src_vfid": FOLDER, "dst_volume": None, "dst_vfid": OTHER}
    await world.manager("POST", "/folder/clone", body)
    with anyio.move_on_after(3):
        await world.settled(lambda: world.events("clone.completed") or world.events("clone.abandoned"))
    assert (await world.patch(token, 0, bytes(60))).status == 204
    assert not world.events("clone.completed"), "140 of 100 bytes"


async def test_so_has_a_folder_that_goes_to_another_owner(world: World) -> None:
    """To another owner, who has an upload under way."""
    there = "project:99999999-9999-4999-8999-999999999999"
    theirs, new = (f"{there}/aabb000{n}-0000-4000-8000-00000000000{n}" for n in (3, 4))
    await world.make_folder()
    await world.upload("a", bytes(60))
    await world.make_folder(theirs)
    limit = {"volume": "disk", "qsid": there, "options": {"limit_bytes": 100}}
    assert (await world.manager("PATCH", "/quota-scope", limit)).status == 204
    token = await world.upload_token("b", 60, theirs)
    moved = {"src_volume": "disk", "src_vfid": FOLDER, "dst_vfid": new}
    answer = await world.manager("POST", "/folder/migrate", moved)
    upload = (await world.patch(token, 0, bytes(60))).status
    assert (answer.status, upload) != (200, 204), "120 of 100 bytes"


async def test_uploads_that_were_begun_before_there_was_a_limit_count(world: World) -> None:
    await world.make_folder()
    files = await Collection.open(world)
    url = await files.begin(LARGE, "a")
    await limit_folder(world, limit_bytes=LARGE)
    first = await files.create(LARGE, "b")
    await files.patch(url, 0, bytes(LARGE))
    if first.status == 201:
        await files.patch("/" + first.headers["Location"], 0, bytes(LARGE))
    assert on_disk(world) <= LARGE


async def test_a_length_told_before_there_was_a_limit_is_judged_at_the_end(world: World) -> None:
    await world.make_folder()
    files = await Collection.open(world)
    url = await files.begin(None, "a", Upload_Defer_Length="1")
    assert (await files.patch(url, 0, bytes(10), Upload_Length="1000")).status == 204
    await limit_folder(world, limit_bytes=100)
    await files.patch(url, 10, bytes(990))
    assert on_disk(world) <= 100


async def test_an_upload_whose_record_was_lost_is_judged_anew(world: World) -> None:
    await world.make_folder()
    await limit_folder(world, limit_bytes=LARGE)
    files = await Collection.open(world)
    url = await files.begin(LARGE, "a")
    assert (await files.patch(url, 0, bytes(LARGE - 1))).status == 204
    # A failover: a replica that never had the last writes.
    world.store.records.clear()
    for name in [n for n in world.store.view.indexes if n.startswith("index:uploads")]:
        world.store.view.indexes[name].clear()
    other = await files.begin(LARGE, "b")
    await files.patch(url, LARGE - 1, b"x")
    await files.patch(other, 0, bytes(LARGE))
    assert on_disk(world) <= LARGE


async def test_and_counts_among_those_of_its_owner(tmp_path: Path) -> None:
    async with open_world(tmp_path, uploads_per_owner=1) as world:
        await world.make_folder()
        files = await Collection.open(world)
        url = await files.begin(100, "a")
        assert (await files.patch(url, 0, bytes(1))).status == 204
        await world.let_go(url)
        world.store.records.clear()
        world.store.view.indexes["index:uploads-of:somebody"].clear()
        assert (await files.patch(url, 1, bytes(1))).status == 204
        assert (await files.create(100, "b")).status == 429


async def test_what_is_recorded_and_not_judged_is_not_put_at_its_place(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Begun before there was a limit; one request is judged, another gateway gets the same request meanwhile."""
    await world.make_folder()
    await world.upload("x", bytes(90))
    token = await world.upload_token("a", 50)
    await limit_folder(world, limit_bytes=100)
    judge = Quotas.judge
    judging, go_on = anyio.Event(), anyio.Event()
    statuses: list[int] = []

    async def slowly(*args: Any, **more: Any) -> None:
        if not judging.is_set():
            judging.set()
            await go_on.wait()
        await judge(*args, **more)

    monkeypatch.setattr(Quotas, "judge", slowly)

    async def first() -> None:
        statuses.append((await world.patch(token, 0, bytes(50))).status)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(first)
        await judging.wait()
        world.gate.uploads.at_once._claimed.clear()  # as on another gateway
        await world.patch(token, 0, bytes(50))
        go_on.set()
    assert on_disk(world) <= 100


async def test_what_a_refused_request_forgets_is_judged_for_the_one_that_goes_on(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.make_folder()
    token = await world.upload_token("a", 60)  # nothing is recorded of it yet
    await limit_folder(world, limit_bytes=100)
    files = await Collection.open(world)
    other = await files.begin(60, "d")
    judge = Quotas.judge
    refused, go_on = anyio.Event(), anyio.Event()
    statuses: list[int] = []

    async def slowly(quotas: Any, session: Any, *more: Any) -> None:
        try:
            await judge(quotas, session, *more)
        except PenstockError:
            if session.id == session_of(token):
                refused.set()
                await go_on.wait()
            raise

    monkeypatch.setattr(Quotas, "judge", slowly)

    async def first() -> None:
        statuses.append((await world.patch(token, 0, bytes(1))).status)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(first)
        await refused.wait()
        assert (await files.delete(other)).status == 204
        world.gate.uploads.at_once._claimed.clear()
        await world.patch(token, 0, bytes(1))
        go_on.set()
    third = await world.upload_token("c", 60)
    await world.patch(token, 1, bytes(59))
    await world.patch(third, 0, bytes(60))
    assert on_disk(world) <= 100


async def test_a_part_that_is_dropped_once_it_is_copied_makes_no_room(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.make_folder()
    await limit_folder(world, limit_bytes=100)
    files = await Collection.open(world)
    part = await files.part(60, b"x" * 60)
    copy = Parts._copy
    other: list[str] = []

    async def copied(*args: Any) -> Any:
        found = await copy(*args)
        assert (await files.delete(part)).status == 204
        other.append(await files.begin(60, "b"))
        return found

    monkeypatch.setattr(Parts, "_copy", copied)
    await files.create(None, "a", Upload_Concat=f"final;{part}")
    await files.patch(other[0], 0, b"y" * 60)
    assert on_disk(world) <= 100


async def test_a_part_whose_length_was_never_judged_is_judged_with_its_whole(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.make_folder()
    await limit_folder(world, limit_bytes=500)
    files = await Collection.open(world)
    url = await files.part(None)
    final = await files.create(None, "a", Upload_Concat=f"final;{url}")
    assert final.status == 201, final.body
    with dying_before_it_is_judged(monkeypatch):
        assert (await files.patch(url, 0, b"x", Upload_Length="1000")).status == 503
    assert reserved(world)[-1:] == [1000]
    await files.patch(url, 0, b"x" * 1000)
    assert on_disk(world) <= 500
