"""What uploads that came to no good end have reserved is there for others, and that of others stays reserved."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from harness.limits import begin, limit_folder, limit_scope, on_disk
from harness.tus import LARGE, Collection
from harness.uploads import let_pass, reserved, session_of
from harness.world import FOLDER, OTHER, World

from backends.mounted.files import MountedFiles
from bus.memory.bus import MemoryCatalogue
from bus.memory.records import MemoryRecords
from domain.catalogue import Unindex
from domain.errors import BusBrokenError
from domain.ids import VFolderId
from domain.paths import RelativePath
from gateway.quotas import Quotas
from gateway.uploads.finishing import Finisher
from gateway.uploads.session import UploadSession

pytestmark = pytest.mark.anyio


async def test_an_upload_that_was_being_finished_when_its_folder_went(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.make_folder()
    await world.make_folder(OTHER)
    await limit_scope(world, limit_bytes=LARGE)
    files = await Collection.open(world)
    url = await files.begin(LARGE, "a")

    async def died(*_: Any, **__: Any) -> None:
        raise BusBrokenError("died")

    with monkeypatch.context() as patched:
        patched.setattr(MountedFiles, "commit_staging", died)
        assert (await files.patch(url, 0, bytes(LARGE))).status == 503
    await world.let_go(url)
    body = {"volume": "disk", "vfid": FOLDER}
    assert (await world.manager("POST", "/folder/delete", body)).status in (202, 204)
    await world.settled(lambda: world.events("vfolder.purged"))
    assert reserved(world) == [LARGE]
    let_pass(monkeypatch, 48 * 3600)
    world.gate.quotas._abandoned._looked.clear()
    await world.gate.uploads.sweep(100)
    await world.gate.uploads.sweep(100)
    assert await begin(world, "b", LARGE, OTHER) == 200


async def test_parts_of_a_whole_that_is_finished_do_not_count(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.make_folder()
    await limit_folder(world, limit_bytes=100)
    files = await Collection.open(world)
    urls = [await files.part(30, b"x" * 30), await files.part(10, b"x" * 10)]

    async def died(*_: Any) -> None:
        raise BusBrokenError("died")

    with monkeypatch.context() as patched:
        patched.setattr(Finisher, "discard", died)
        await files.create(None, "a", Upload_Concat=f"final;{urls[0]} {urls[1]}")
    await world.gate.uploads.sweep(100)
    assert await begin(world, "b", 60) == 200


async def test_an_upload_that_is_begun_anew_at_this_moment_stays_counted(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An upload is forgotten and begun anew between the look and the Unindex."""
    await world.make_folder()
    token = await world.upload_token("a", 60)  # unrecorded: no limit yet
    await limit_folder(world, limit_bytes=100)
    assert (await world.patch(token, 0, bytes(1))).status == 204
    assert reserved(world) == [60]
    session = session_of(token)
    await world.let_go(session)
    world.store.records.pop(f"upload:{session}")
    apply, judge = MemoryCatalogue.apply, Quotas.judge
    judging, go_on = anyio.Event(), anyio.Event()
    statuses: list[int] = []

    async def slowly(quotas: Any, upload: Any, *more: Any) -> None:
        if upload.id == session:
            judging.set()
            await go_on.wait()
        await judge(quotas, upload, *more)

    async with anyio.create_task_group() as tasks:

        async def retry() -> None:
            statuses.append((await world.patch(token, 1, bytes(59))).status)

        async def again(catalogue: Any, changes: Any) -> None:
            if not judging.is_set() and any(
                isinstance(c, Unindex) and c.index.startswith("index:uploads:") for c in changes
            ):
                tasks.start_soon(retry)
                await judging.wait()
            await apply(catalogue, changes)

        monkeypatch.setattr(MemoryCatalogue, "apply", again)
        monkeypatch.setattr(Quotas, "judge", slowly)
        body = {"volume": "disk", "vfid": FOLDER, "relpath": "b", "size": 90}
        second = await world.manager("POST", "/folder/file/upload", body)
        go_on.set()
    if second.status == 200:
        await world.patch(second.json["token"], 0, bytes(90))
    assert on_disk(world) <= 100


async def test_nothing_is_reserved_by_an_upload_its_client_never_heard_of(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.make_folder()
    await limit_folder(world, limit_bytes=100)
    files = await Collection.open(world)
    create = MemoryRecords.create

    async def unheard(*args: Any, **more: Any) -> bool:
        monkeypatch.undo()
        assert await create(*args, **more)
        raise BusBrokenError("no answer")

    monkeypatch.setattr(MemoryRecords, "create", unheard)
    assert (await files.create(60, "a")).status == 503
    assert (await files.create(60, "a")).status == 201


async def test_nor_by_one_whose_request_is_cancelled(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a gateway that stops."""
    await world.make_folder()
    await limit_folder(world, limit_bytes=100)
    beginner, sessions, judging = world.gate.uploads.beginner, world.gate.uploads.sessions, anyio.Event()

    async def stuck(*_: Any) -> None:
        judging.set()
        await anyio.sleep_forever()

    session = UploadSession(
        id="0" * 32,
        volume=world.volume.name,
        folder=VFolderId.parse(FOLDER),
        destination=RelativePath(("a",)),
        length=60,
        expires=sessions.expiry,
        begun=sessions.now,
        owner="somebody",
        reserved_bytes=60,
    )
    with monkeypatch.context() as patched:
        patched.setattr(Quotas, "judge", stuck)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(beginner.begin_below, session)
            await judging.wait()
            tasks.cancel_scope.cancel()
    assert not reserved(world)
    assert await begin(world, "b", 60) == 200
