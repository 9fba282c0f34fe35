"""Small uploads that come in one request (creation-with-upload, all bytes at once)."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from harness.fields import metadata
from harness.tus import Collection
from harness.world import FOLDER, OTHER, Answer, World, open_world

from backends.mounted import arrivals, staging
from backends.mounted.mountinfo import MountedAs
from domain.ids import VFolderId

pytestmark = pytest.mark.anyio

DATA = os.urandom(4096)
LIMIT = 256 << 10


@pytest.fixture(params=["one step", "usual steps"])
async def world(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[World]:
    """What is seen from outside is the same on a volume with an outbox and on one without."""
    monkeypatch.setattr(MountedAs, "keeps_order", request.param == "one step")
    async with open_world(tmp_path) as found:
        assert (found.volume.outbox is not None) == (request.param == "one step")
        await found.make_folder()
        yield found


async def send(files: Collection, data: bytes, name: str = "a", **more: str) -> Answer:
    return await files.create(len(data), name, data, **more)


def records(world: World) -> int:
    return len([name for name in world.store.records if name.startswith("upload:")])


# [B10]
@pytest.mark.parametrize("size", [1, 4096, LIMIT, LIMIT + 1, 3 * LIMIT])
async def test_one_request_makes_a_file(world: World, files: Collection, size: int) -> None:
    """Whether it is small enough to be kept in memory makes no difference to anybody."""
    data = os.urandom(size)
    answer = await send(files, data, "new/dir/file")
    assert answer.status == 201
    assert answer.headers["Upload-Offset"] == answer.headers["Upload-Length"] == str(size)
    assert "Upload-Expires" not in answer.headers
    assert (world.folder / "new/dir/file").read_bytes() == data
    head = await files.head("/" + answer.headers["Location"])
    assert (head.status, head.headers["Upload-Offset"]) == (200, str(size))
    assert head.headers["Upload-Metadata"] == metadata(filename="new/dir/file")
    (event,) = world.events("file.uploaded")
    assert (event.body["path"], event.body["size_bytes"]) == ("new/dir/file", size)
    assert event.body["sha256"] == hashlib.sha256(data).hexdigest()
    assert not (world.folder / ".upload").exists()


async def test_a_file_is_replaced_and_its_digest_with_it(world: World, files: Collection) -> None:
    for data in (DATA, DATA[:100]):
        assert (await send(files, data)).status == 201
        assert (world.folder / "a").read_bytes() == data
        digest = (await world.download("a", {"Want-Repr-Digest": "sha-256=1"})).headers["Repr-Digest"]
        assert digest.startswith("sha-256=:")
    assert [event.body.get("replaced_bytes") for event in world.events("file.uploaded")] == [None, 4096]


async def test_it_waits_to_be_asked_for_its_body(world: World, files: Collection) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", world.client_port)
    writer.write(head_of(files, 4096, "Expect: 100-continue\r\n"))
    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(DATA)
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 201 ")
    writer.close()
    assert (world.folder / "a").read_bytes() == DATA


def head_of(files: Collection, length: int, more: str = "") -> bytes:
    return (
        f"POST /files HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {files.token}\r\nTus-Resumable: 1.0.0\r\n{more}"
        f"Content-Type: application/offset+octet-stream\r\nContent-Length: {length}\r\nUpload-Length: {length}\r\n"
        f"Upload-Metadata: {metadata(filename='a')}\r\n\r\n"
    ).encode()


async def test_of_one_that_breaks_off_nothing_is_left(world: World, files: Collection) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", world.client_port)
    writer.write(head_of(files, 4096) + DATA[:1000])
    await writer.drain()
    writer.close()
    await world.settled(lambda: [one.method for one in world.watching.answers if one.endpoint == "/files"])
    assert not list(world.folder.iterdir())
    assert not records(world)
    assert (await send(files, DATA)).status == 201


# [B10]
@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"Upload_Length": "4095"}, 413),
        ({"Upload_Length": "-1"}, 400),
        ({"Content_Type": "text/plain"}, 415),
        ({"Tus_Resumable": "0.2.2"}, 412),
        ({"Upload_Metadata": metadata(filename="../a")}, 400),
        ({"Upload_Metadata": ""}, 400),
        ({"Upload_Metadata": metadata(filename="a", sha256="0" * 64)}, 460),
        ({"Upload_Checksum": "sha1 AAAAAAAAAAAAAAAAAAAAAAAAAAA="}, 460),
        ({"Authorization": "Bearer x"}, 401),
    ],
)
async def test_what_is_refused_leaves_no_file(
    world: World, files: Collection, fields: dict[str, str], status: int
) -> None:
    assert (await send(files, DATA, **fields)).status == status
    assert not (world.folder / "a").exists()
    assert not world.events("file.uploaded")
    assert (await send(files, DATA)).status == 201


async def test_a_directory_in_the_way(world: World, files: Collection) -> None:
    (world.folder / "a").mkdir()
    small, large = await send(files, DATA), await send(files, os.urandom(2 * LIMIT))
    assert small.status == large.status == 400
    assert small.json["type"] == large.json["type"]
    assert not await world.volume.files(VFolderId.parse(FOLDER)).stagings()
    assert not records(world)
    (world.folder / "a").rmdir()
    assert (await send(files, DATA)).status == 201


async def test_no_folder(world: World) -> None:
    await world.make_folder(OTHER)
    body = {"volume": "disk", "vfid": OTHER, "relpath": ".", "owner": "x"}
    answer = await world.manager("POST", "/folder/file/upload-below", body)
    files = Collection(world, answer.json["token"])
    assert (await world.manager("POST", "/folder/delete", {"volume": "disk", "vfid": OTHER})).status == 202
    await world.settled(lambda: world.events("vfolder.deleted"))
    assert (await send(files, DATA)).status == 404
    assert not records(world)


async def test_limits_hold(world: World, files: Collection) -> None:
    body = {"volume": "disk", "vfid": FOLDER, "options": {"limit_bytes": 10_000}}
    assert (await world.manager("PUT", "/folder/quota", body)).status < 300
    answers = await asyncio.gather(*[send(files, DATA, f"f{number}") for number in range(8)])
    # Several at once may all be refused, because each sees what the others want; one after the other, two fit.
    answers += [await send(files, DATA, f"g{number}") for number in range(3)]
    assert {answer.status for answer in answers} == {201, 413}
    stored = [answer.status for answer in answers].count(201)
    assert stored == 2, "never more is taken than there is room for"
    assert len(list(world.folder.iterdir())) == stored
    assert len(world.events("file.uploaded")) == stored
    index = f"index:uploads:disk:{VFolderId.parse(FOLDER)}"
    assert not await world.bus.catalogue.page(index, limit=10), "nothing stays reserved"


async def test_many_at_once_do_not_count_as_unfinished(tmp_path: Path) -> None:
    async with open_world(tmp_path, uploads_per_owner=1) as world:
        await world.make_folder()
        files = await Collection.open(world)
        answers = await asyncio.gather(*[send(files, DATA, f"f{number}") for number in range(20)])
        assert {answer.status for answer in answers} == {201}
        assert len(list(world.folder.iterdir())) == 20


async def test_a_full_storage_leaves_nothing(
    world: World, files: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(fd: int, *_: object) -> int:
        os.write(fd, b"some")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(staging, "write", full)
        patch.setattr(arrivals, "write", full)
        assert (await send(files, DATA)).status == 507
    assert not await world.volume.files(VFolderId.parse(FOLDER)).stagings()
    assert not records(world)
    assert (await send(files, DATA)).status == 201
