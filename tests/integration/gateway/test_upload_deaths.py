"""Uploads of parts, and archives that are unpacked, by a gateway that dies at every single step of them.

Whatever it did last: after the next one has come and its client has asked again, every file is there and whole and
told of once, and nothing else is left.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import aiohttp
import anyio
import pytest
from harness.archives import zip_of
from harness.around import DyingInCommit, NotingNames, NotingSyncs
from harness.mortal import Life, Mortal
from harness.ordered import keep_order
from harness.tus import Collection
from harness.world import FOLDER, SCOPE, Answer, World, open_world
from integration.gateway.resumable_client import append, begun, look, place

from backends.mounted import lasting
from bus.memory.store import MemoryStore
from domain.ids import VFolderId

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]

DATA = os.urandom(3000)
#: More than is put at its place in one step.
LONG = os.urandom(300_000)
FILES = {"a": os.urandom(500), "d/b": os.urandom(200_000), "d/e/c": b""}
#: More steps than any of this takes.
MOST = 200


def lives(path: Path) -> Iterator[tuple[int, Path, Life]]:
    """Lives of a gateway, each a step longer and with a directory of its own, until one outlasts what it does."""
    for step in range(1, MOST):
        life = Life(step)
        (path / str(step)).mkdir()
        yield step, path / str(step), life
        if not life.is_over:
            return


@asynccontextmanager
async def mortal_world(path: Path, store: MemoryStore) -> AsyncIterator[World]:
    """A gateway that has a folder."""
    async with open_world(path, store=store, resumable_uploads=True) as world:
        await world.make_folder()
        limit = {"volume": "disk", "vfid": FOLDER, "options": {"limit_bytes": 1 << 30}}
        assert (await world.manager("PUT", "/folder/quota", limit)).status == 204
        yield world


def still_counted(store: MemoryStore) -> list[str]:
    """Uploads that count against a limit, or among an owner's."""
    return [member for index, members in store.view.indexes.items() for member in members if ":uploads" in index]


async def until_death(world: World, life: Life, work: Awaitable[Answer]) -> None:
    """Do something in a gateway that from now on lives only for so long."""
    files = world.volume.files
    world.gate.uploads.sessions._records = Mortal(world.bus.records, life)
    world.volume.files = lambda folder: Mortal(files(folder), life)
    with suppress(aiohttp.ClientError):
        answer = await work
        assert answer.status < 300 or life.is_over, answer.body


@asynccontextmanager
async def next_world(path: Path, store: MemoryStore) -> AsyncIterator[World]:
    """The next gateway, which looks after what it finds; in the end it drops what nobody comes back to."""
    async with open_world(path, store=store, resumable_uploads=True) as world:
        await look_after_all(world)
        yield world
        await anyio.sleep(0.05)  # what was just in use is given back
        later = world.bus.clock.now() + 30 * 24 * 3600
        world.bus.clock.now = lambda: later
        await look_after_all(world)


async def look_after_all(world: World) -> None:
    for record in world.store.records.values():
        record.due = 0.0 if record.due is not None else None
    await world.gate.uploads.sweep(100)


async def staged(world: World) -> list[str]:
    """Ids of what lies in the folder's staging area."""
    return [one.session for one in await world.volume.files(VFolderId.parse(FOLDER)).stagings()]


def uploaded(world: World, kind: str) -> list[str]:
    """Which uploads were told of."""
    return [str(event.body["session"]) for event in world.events(kind)]


# [A16] [B15]
@pytest.mark.parametrize("waits", [False, True])
async def test_parts_are_put_together(tmp_path: Path, waits: bool) -> None:
    """The final upload is made when all its parts are there, or before the last one is."""
    for step, path, life in lives(tmp_path):
        store = MemoryStore()
        async with mortal_world(path, store) as world:
            files = await Collection.open(world)
            first = await files.part(1000, DATA[:1000])
            second = await files.part(2000, b"" if waits else DATA[1000:])
            concat = f"final;{first} {second}"
            if waits:
                assert (await files.create(None, "whole", Upload_Concat=concat)).status == 201
                await until_death(world, life, files.patch(second, 0, DATA[1000:]))
            else:
                await until_death(world, life, files.create(None, "whole", Upload_Concat=concat))
        async with next_world(path, store) as world:
            files.world = world
            if not (world.folder / "whole").exists() and not waits:
                assert (await files.create(None, "whole", Upload_Concat=concat)).status == 201
            elif not (world.folder / "whole").exists():
                offset = int((await files.head(second)).headers["Upload-Offset"])
                if offset < 2000:
                    assert (await files.patch(second, offset, DATA[1000 + offset :])).status == 204
            assert (world.folder / "whole").read_bytes() == DATA
        assert len(uploaded(world, "file.uploaded")) == 1, step
        assert not (world.folder / ".upload").exists(), step
        assert not still_counted(store), step
    assert 10 < step < MOST


async def test_an_archive_is_unpacked(tmp_path: Path) -> None:
    data = zip_of(FILES, zipfile.ZIP_STORED)
    for step, path, life in lives(tmp_path):
        store = MemoryStore()
        async with mortal_world(path, store) as world:
            token = await world.upload_token("new/x.zip", len(data))
            await until_death(world, life, world.patch(token, 0, data, extract="1"))
        async with next_world(path, store) as world:
            offset = int((await world.client("HEAD", f"/upload?token={token}")).headers["Upload-Offset"])
            assert (await world.patch(token, offset, data[offset:], extract="1")).status == 204
            for name, content in FILES.items():
                assert (world.folder / "new" / name).read_bytes() == content
        assert len(uploaded(world, "archive.unpacked")) == 1, step
        assert not uploaded(world, "file.uploaded")
        assert not still_counted(store), step
        # What it was writing when it died belongs to no record; whoever looks for vestiges finds it.
        async with open_world(path, store=store) as world:
            records = [await world.gate.uploads.sessions.load(one) for one in await staged(world)]
            assert len(records) <= 1, step
            assert not any(records), step
    assert 10 < step < MOST


async def test_an_archive_that_was_let_in_goes_on_however_little_room_is_left(tmp_path: Path) -> None:
    """What is at its place already counts like other files, and again with what was reserved for all of it."""
    files = {"first": LONG, **FILES}
    data, total = zip_of(files, zipfile.ZIP_STORED), sum(map(len, files.values()))
    for step, path, life in lives(tmp_path):
        store = MemoryStore()
        async with open_world(path, store=store, usage_max_age_seconds=0.0) as world:
            await world.make_folder()
            body = {"volume": "disk", "qsid": SCOPE, "options": {"limit_bytes": len(data) + total + 1000}}
            assert (await world.manager("PATCH", "/quota-scope", body)).status == 204
            token = await world.upload_token("new/x.zip", len(data))
            await until_death(world, life, world.patch(token, 0, data, extract="1"))
        async with open_world(path, store=store, usage_max_age_seconds=0.0) as world:
            offset = int((await world.client("HEAD", f"/upload?token={token}")).headers["Upload-Offset"])
            answer = await world.patch(token, offset, data[offset:], extract="1")
            assert answer.status == 204, (step, answer.body)
            for name, content in files.items():
                assert (world.folder / "new" / name).read_bytes() == content
        assert len(uploaded(world, "archive.unpacked")) == 1, step
        assert not still_counted(store), step
    assert 10 < step < MOST


async def test_a_small_upload_in_one_request(tmp_path: Path) -> None:
    """Its client never learns of an upload that was not finished; what appears is whole, and told of once."""
    appeared = []
    for step, path, life in lives(tmp_path):
        store = MemoryStore()
        async with mortal_world(path, store) as world:
            files = await Collection.open(world)
            await until_death(world, life, files.create(len(DATA), "a", DATA))
        async with next_world(path, store) as world:
            there = (world.folder / "a").exists()
            assert not there or (world.folder / "a").read_bytes() == DATA, step
            appeared.append(there)
        assert len(uploaded(world, "file.uploaded")) == there, step
        assert not (world.folder / ".upload").exists(), step
        assert not still_counted(store), step
    assert appeared == sorted(appeared), "from some step on it is there"
    assert {True, False} == set(appeared)


async def test_a_file_goes_where_its_first_request_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who looks after it later may not say it again."""
    keep_order(monkeypatch)
    called = set[str]()
    for step, path, life in lives(tmp_path):
        store = MemoryStore()
        async with mortal_world(path, store) as world:
            token = await world.upload_token("a", len(DATA))
            await until_death(world, life, world.patch(token, 0, DATA, dst_dir="below"))
        async with next_world(path, store) as world:
            offset = int((await world.client("HEAD", f"/upload?token={token}")).headers["Upload-Offset"])
            assert (await world.patch(token, offset, DATA[offset:], dst_dir="below")).status == 204
            assert (world.folder / "below" / "a").read_bytes() == DATA, step
            assert not (world.folder / "a").exists(), step
        assert len(uploaded(world, "file.uploaded")) == 1, step
        assert not still_counted(store), step
        called |= life.called
    assert 5 < step < MOST
    assert "bar_whole" in called, "a small upload that takes the ordinary way is barred from the other"


@pytest.mark.parametrize("sent", [1000, len(DATA)])
async def test_an_upload_whose_length_is_told_later(tmp_path: Path, sent: int) -> None:
    """Its client does not come back: in the end nothing is left of it, nor counted."""
    for step, path, life in lives(tmp_path):
        store = MemoryStore()
        async with mortal_world(path, store) as world:
            files = await Collection.open(world)
            await until_death(world, life, later(files, DATA[:sent]))
        async with next_world(path, store) as world:
            there = (world.folder / "a").exists()
            assert not there or (world.folder / "a").read_bytes() == DATA, step
        assert len(uploaded(world, "file.uploaded")) == there, step
        assert not (world.folder / ".upload").exists(), step
        assert not still_counted(store), step
    assert 5 < step < MOST


# [R3] [R7]
@pytest.mark.parametrize("before", [1000, len(DATA)], ids=["with bytes", "alone"])
@pytest.mark.parametrize("announced", [{}, {"Upload_Length": str(len(DATA))}], ids=["", "announced"])
async def test_an_upload_whose_end_is_told(tmp_path: Path, before: int, announced: dict[str, str]) -> None:
    """Until its end is known there is no file; whoever has not heard of the end tells it once more."""
    completed = []
    for step, path, life in lives(tmp_path):
        store = MemoryStore()
        async with mortal_world(path, store) as world:
            files = await Collection.open(world)
            url = await begun(files, DATA[:before], **announced)
            await until_death(world, life, append(files, url, before, "?1", DATA[before:]))
        async with next_world(path, store) as world:
            files.world = world
            status, offset, complete = place(await look(files, url))
            assert (status, complete == "?1") == (204, (world.folder / "a").exists()), step
            completed.append(complete)
            answer = await append(files, url, int(offset), "?1", DATA[int(offset) :])
            assert place(answer) == (200, str(len(DATA)), "?1"), step
            assert (world.folder / "a").read_bytes() == DATA, step
        assert len(uploaded(world, "file.uploaded")) == 1, step
        assert not (world.folder / ".upload").exists(), step
        assert not still_counted(store), step
    assert 3 < step < MOST
    assert completed == sorted(completed), "from some step on its end is known"
    assert {"?0", "?1"} == set(completed)


# [A16]
@pytest.mark.parametrize("zeroed", [False, True])
async def test_the_power_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, zeroed: bool) -> None:
    """What was stored and not synced is gone, or only its length is there: then it is not said to be there."""
    offsets = set()
    for step, path, life in lives(tmp_path):
        store, durable = MemoryStore(), set[str]()
        async with mortal_world(path, store) as world:
            token = await world.upload_token("a", len(LONG))
            files = world.volume.files
            world.volume.files = lambda folder, files=files, durable=durable: NotingSyncs(files(folder), durable)
            await until_death(world, life, world.patch(token, 0, LONG))
        for staging in path.rglob(".upload/*"):
            if staging.name not in durable and zeroed:
                staging.write_bytes(bytes(staging.stat().st_size))
            elif staging.name not in durable:
                staging.unlink()
        monkeypatch.setattr(lasting, "boot_id", str(step).encode)
        async with next_world(path, store) as world:
            offset = int((await world.client("HEAD", f"/upload?token={token}")).headers["Upload-Offset"])
            offsets.add(offset)
            assert (offset == len(LONG)) == (world.folder / "a").exists(), step
            assert (await world.patch(token, offset, LONG[offset:])).status == 204
            assert (world.folder / "a").read_bytes() == LONG
        assert len(uploaded(world, "file.uploaded")) == 1, step
        assert not (world.folder / ".upload").exists(), step
        assert not still_counted(store), step
    assert offsets == {0, len(LONG)}


async def test_what_another_one_has_renamed_is_durable_before_it_is_told_of(tmp_path: Path) -> None:
    store, synced = MemoryStore(), list[tuple[list[str], int]]()
    async with mortal_world(tmp_path, store) as world:
        token = await world.upload_token("d/a", len(LONG))
        files = world.volume.files
        world.volume.files = lambda folder: DyingInCommit(files(folder))
        assert (await world.patch(token, 0, LONG)).status >= 500
        assert (world.folder / "d" / "a").exists()
        assert not uploaded(world, "file.uploaded")
    async with open_world(tmp_path, store=store) as world:
        files = world.volume.files
        world.volume.files = lambda folder: NotingNames(files(folder), world, "file.uploaded", synced)
        answer = await world.client("HEAD", f"/upload?token={token}")
        assert answer.headers["Upload-Offset"] == str(len(LONG))
        assert len(uploaded(world, "file.uploaded")) == 1
    assert synced == [(["d/a"], 0)]


async def later(files: Collection, data: bytes) -> Answer:
    """Begin an upload, and tell with its bytes how many they will be."""
    answer = await files.create(None, "a", Upload_Defer_Length="1")
    if "Location" not in answer.headers:
        return answer
    return await files.patch("/" + answer.headers["Location"], 0, data, Upload_Length=str(len(DATA)))
