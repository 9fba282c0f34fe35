"""Uploads to folders that are gone: what they had reserved is there for others."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import anyio.lowlevel
import pytest
from harness.tus import Collection
from harness.uploads import reserved
from harness.world import FOLDER, OTHER, SCOPE, World, open_world

from backends.mounted.files import MountedFiles
from domain.errors import BackendUnavailableError
from gateway.uploads import abandoned

pytestmark = pytest.mark.anyio

LIMIT = 1000


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """Two folders of one owner, with a limit for both."""
    actors = {"trash_seconds": 3600}
    async with open_world(tmp_path, actors=actors, uploads_per_owner=2) as opened:
        for folder in (FOLDER, OTHER):
            await opened.make_folder(folder)
        options = {"limit_bytes": LIMIT}
        limit = {"volume": "disk", "qsid": SCOPE, "options": options}
        assert (await opened.manager("PATCH", "/quota-scope", limit)).status == 204
        yield opened


async def begin(world: World, folder: str, size: int) -> int:
    body = {"volume": "disk", "vfid": folder, "relpath": "a", "size": size}
    return (await world.manager("POST", "/folder/file/upload", body)).status


async def delete(world: World) -> None:
    body = {"volume": "disk", "vfid": FOLDER}
    assert (await world.manager("POST", "/folder/delete", body)).status in (202, 204)
    await world.settled(lambda: not world.folder.exists())


async def other_collection(world: World) -> Collection:
    body = {"volume": "disk", "vfid": OTHER, "owner": "somebody"}
    return Collection(world, (await world.manager("POST", "/folder/file/upload-below", body)).json["token"])


async def test_what_they_had_reserved_is_there_for_others(world: World) -> None:
    assert await begin(world, FOLDER, 800) == 200
    assert await begin(world, OTHER, 800) == 413
    await delete(world)
    await anyio.lowlevel.checkpoint()
    world.gate.quotas._abandoned._looked.clear()
    assert await begin(world, OTHER, 800) == 200
    assert reserved(world) == [800]
    assert await begin(world, OTHER, 800) == 413


async def test_those_of_folders_that_are_there_stay_counted(world: World) -> None:
    assert await begin(world, OTHER, 800) == 200
    assert await begin(world, FOLDER, 800) == 413
    assert reserved(world) == [800]


async def test_they_do_not_count_among_their_owners(world: World) -> None:
    files, others = await Collection.open(world), await other_collection(world)
    for name in "ab":
        await files.begin(10, name)
    assert (await others.create(10, "c")).status == 429
    await delete(world)
    world.gate.quotas._abandoned._looked.clear()
    for name in "cd":
        assert (await others.create(10, name)).status == 201
    assert (await others.create(10, "e")).status == 429


async def test_one_that_grows_has_their_room(world: World) -> None:
    assert await begin(world, FOLDER, LIMIT) == 200
    await delete(world)
    others = await other_collection(world)
    url = await others.begin(None, Upload_Defer_Length="1")
    assert (await others.patch(url, 0, b"x" * 600, Upload_Length="600")).status == 204


async def test_should_their_folder_come_back_they_are_judged_anew(world: World) -> None:
    files = await Collection.open(world)
    url = await files.begin(800)
    await delete(world)
    assert await begin(world, OTHER, 800) == 200
    assert (await world.manager("POST", "/folder/restore", {"volume": "disk", "vfid": FOLDER})).status == 204
    assert (await files.patch(url, 0, b"x" * 800)).status == 413
    scope = {"volume": "disk", "qsid": SCOPE, "options": {"limit_bytes": 2 * LIMIT}}
    assert (await world.manager("PATCH", "/quota-scope", scope)).status == 204
    head = await files.head(url)
    assert (head.status, head.headers["Upload-Offset"]) == (200, "800")
    assert (world.folder / "a").read_bytes() == b"x" * 800
    assert reserved(world) == [800]


async def test_of_which_no_record_is_left(world: World) -> None:
    assert await begin(world, FOLDER, 800) == 200
    world.store.records.clear()
    assert await begin(world, OTHER, 800) == 200
    assert reserved(world, SCOPE) == [800]


@pytest.mark.parametrize("is_over", [False, True])
async def test_what_is_counted_of_an_upload_besides_what_it_has_reserved(
    world: World, files: Collection, *, is_over: bool
) -> None:
    url = await files.begin(100)
    (index,) = [name for name in world.store.view.indexes if re.fullmatch(f"index:uploads:.*{SCOPE}", name)]
    if is_over:
        assert (await files.patch(url, 0, b"x" * 100)).status == 204
    world.store.view.indexes[index].add(f"{url.rpartition('/')[2]}:700")
    assert await begin(world, OTHER, 900) == 200
    assert reserved(world, SCOPE) == ([900] if is_over else [100, 900])


async def test_where_it_cannot_be_known_they_stay_counted(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    assert await begin(world, FOLDER, 800) == 200

    async def away(*_: object) -> None:
        raise BackendUnavailableError("no answer")

    with monkeypatch.context() as patch:
        patch.setattr(MountedFiles, "stat", away)
        assert await begin(world, OTHER, 800) == 413
    later = [name for name in world.store.records if name.startswith("upload:")]
    for name in later:
        world.store.records[name] = replace(world.store.records[name], data=b"nothing that is known here")
    world.gate.quotas._abandoned._looked.clear()
    await delete(world)
    assert await begin(world, OTHER, 800) == 413
    assert reserved(world) == [800]


async def test_they_are_not_looked_for_all_the_time(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is refused may come again at once."""
    assert await begin(world, FOLDER, 800) == 200
    looked: list[object] = []
    look = MountedFiles.stat

    async def counting(files: MountedFiles, *path: object) -> object:
        looked.append(path)
        return await look(files, *path)  # type: ignore[arg-type]

    monkeypatch.setattr(MountedFiles, "stat", counting)
    for _ in range(5):
        assert await begin(world, FOLDER, 800) == 413
    assert len(looked) == 1
    monkeypatch.setattr(abandoned, "_AGAIN_SECONDS", 0)
    for _ in range(5):
        assert await begin(world, FOLDER, 800) == 413
    assert len(looked) == 6
