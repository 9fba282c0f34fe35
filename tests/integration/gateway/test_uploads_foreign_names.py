"""Uploads to places whose names are no UTF-8."""

from __future__ import annotations

import io
import os
import shutil
import tarfile
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest
from harness.fields import metadata
from harness.tus import Collection
from harness.uploads import session_of
from harness.world import FOLDER, World, digest, open_world

from backends.mounted import arrivals, beneath
from backends.mounted.mountinfo import MountedAs
from domain.foreign_names import read_path
from domain.ids import VFolderId
from gateway.uploads.brief import Brief

pytestmark = pytest.mark.anyio

#: A directory somebody who has the volume mounted has made, and how it is told and sent in a query.
DIRECTORY, TOLD, SENT = b"d\x80", "d\U0010ff80", "d%F4%8F%BE%80"
NAME, NAME_TOLD = b"\xc7\xd1.txt", "\U0010ffc7\U0010ffd1.txt"
DATA = os.urandom(4096)
SESSION = "0123456789abcdef0123456789abcdef"


@pytest.fixture(params=["one step", "usual steps"])
async def world(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[World]:
    """A volume with an outbox, and one without."""
    system = "ext4" if request.param == "one step" else "f2fs"
    monkeypatch.setattr(beneath, "mounted_as", lambda path: MountedAs("/", "direct", "", "", system))
    async with open_world(tmp_path) as found:
        assert (found.volume.outbox is not None) == (request.param == "one step")
        await found.make_folder()
        (found.folder / os.fsdecode(DIRECTORY)).mkdir()
        yield found


def found(world: World) -> dict[bytes, bytes]:
    """All files there are, by their paths as the system has them."""
    root = os.fsencode(world.folder)
    places = [os.path.join(above, name) for above, _, names in os.walk(root) for name in names]
    return {os.path.relpath(place, root): Path(os.fsdecode(place)).read_bytes() for place in places}


def found_below(world: World, directory: bytes) -> dict[bytes, bytes]:
    """Those of a directory, without what is still to be unpacked."""
    return {name: data for name, data in found(world).items() if name.startswith(directory + b"/")}


def told(world: World) -> list[str]:
    """What was told of uploads, as a strict reader has it."""
    return [str(event.body["path"]).encode().decode() for event in world.events("file.uploaded")]


# --- by the URL of a token ------------------------------------------------------------------------


async def test_a_file_goes_where_its_token_says(world: World) -> None:
    await world.upload(f"{TOLD}/{NAME_TOLD}", DATA)
    assert found(world) == {DIRECTORY + b"/" + NAME: DATA}
    assert told(world) == [f"{TOLD}/{NAME_TOLD}"]
    assert (await world.download(f"{TOLD}/{NAME_TOLD}")).body == DATA


async def test_a_file_goes_below_the_directory_that_is_added(world: World) -> None:
    token = await world.upload_token(NAME_TOLD, len(DATA))
    assert (await world.patch(token, 0, DATA, dst_dir=f"{SENT}/new")).status == 204
    assert found(world) == {DIRECTORY + b"/new/" + NAME: DATA}
    assert told(world) == [f"{TOLD}/new/{NAME_TOLD}"]
    assert (await world.client("HEAD", f"/upload?token={token}")).headers["Upload-Offset"] == str(len(DATA))


async def test_an_empty_file_is_there_at_once(world: World) -> None:
    await world.upload(f"{TOLD}/empty", b"")
    assert found(world) == {DIRECTORY + b"/empty": b""}


async def test_they_obey_the_rules_of_paths(world: World) -> None:
    for path in (f"{TOLD}/../..", f"{TOLD}/..", f".upload/{NAME_TOLD}", "\U0010ff80" * 256):
        body = {"volume": "disk", "vfid": FOLDER, "relpath": path, "size": 1}
        assert (await world.manager("POST", "/folder/file/upload", body)).status == 400, path


async def test_what_is_too_long_only_together_is_refused(world: World) -> None:
    token = await world.upload_token("/".join(["\U0010ff80" * 200] * 10), 1)
    below = "/".join(["%F4%8F%BE%80" * 200] * 6)
    assert (await world.patch(token, 0, b"1", dst_dir=below)).status == 400


@pytest.mark.parametrize("interrupted", [False, True])
async def test_an_upload_goes_on_there(world: World, interrupted: bool) -> None:
    """Also when Redis has lost its record: what is noted beside its bytes says where they are to be."""
    token = await world.upload_token(f"{TOLD}/{NAME_TOLD}", len(DATA))
    assert (await world.patch(token, 0, DATA[:1000])).status == 204
    if interrupted:
        await world.let_go(session_of(token))
        world.store.records.clear()
    assert (await world.client("HEAD", f"/upload?token={token}")).headers["Upload-Offset"] == "1000"
    assert (await world.patch(token, 1000, DATA[1000:])).status == 204
    assert found(world) == {DIRECTORY + b"/" + NAME: DATA}
    assert told(world) == [f"{TOLD}/{NAME_TOLD}"]


async def test_an_archive_is_unpacked_there(world: World) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, data in (("small", b"1"), ("below/large", os.urandom(300_000))):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    data = packed.getvalue()
    token = await world.upload_token("a.tar", len(data))
    assert (await world.patch(token, 0, data, dst_dir=SENT, extract="1")).status == 204
    assert set(found(world)) == {DIRECTORY + b"/small", DIRECTORY + b"/below/large"}
    (event,) = world.events("archive.unpacked")
    assert (event.body["path"], event.body["files"]) == (TOLD, 2)


async def test_an_archive_of_them_is_unpacked_as_it_was_made(world: World) -> None:
    """Also names with characters by which others are told."""
    files = {NAME: b"1", DIRECTORY + b"/\xff\xfe": b"", DIRECTORY + b"/a\xed\xb2\x80": DATA}
    files |= {"\U0010ff80".encode(): b"2", "한글".encode() + b"\x80": os.urandom(300_000)}
    source = world.folder / "source"
    source.mkdir()
    (source / os.fsdecode(DIRECTORY)).mkdir()
    for name, data in files.items():
        (source / os.fsdecode(name)).write_bytes(data)
    made = await world.download("source", archive="1", format="tar")
    shutil.rmtree(source)
    token = await world.upload_token("source/archive", len(made.body))
    assert (await world.patch(token, 0, made.body, extract="1")).status == 204
    assert found(world) == {b"source/" + name: data for name, data in files.items()}


async def test_names_of_a_zip_that_are_no_utf8_though_it_says_so(world: World) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("\u0416", b"1")
    data = packed.getvalue().replace("\u0416".encode(), b"\x80\xff")
    token = await world.upload_token("a.zip", len(data))
    assert (await world.patch(token, 0, data, extract="1")).status == 204
    assert found(world) == {b"\x80\xff": b"1"}


async def test_such_names_in_an_archive_stand_in_each_others_way_like_others(world: World) -> None:
    for names in ((b"\x80", b"\x80/x"), (b"\x80", b"./\x80"), (b"\x80/../../x",), (b"/\x80",), (b"\x80" * 256,)):
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as archive:
            for name in names:
                archive.addfile(tarfile.TarInfo(os.fsdecode(name)))
        data = packed.getvalue()
        token = await world.upload_token("in/a.tar", len(data))
        answer = await world.patch(token, 0, data, extract="1")
        assert answer.status == 400, names
        assert answer.json, "a strict reader can take what is told"
    assert found_below(world, b"in") == {}


# --- in the collection ------------------------------------------------------------------------------


def named(path: str) -> str:
    return metadata(relativePath=path)


@pytest.mark.parametrize("size", [1, 4096, 300_000])
async def test_one_request_makes_a_file_there(world: World, files: Collection, size: int) -> None:
    data = os.urandom(size)
    answer = await files.create(size, None, data, Upload_Metadata=named(f"{TOLD}/\U0010ff81/{NAME_TOLD}"))
    assert (answer.status, answer.headers["Upload-Offset"]) == (201, str(size))
    assert found(world) == {DIRECTORY + b"/\x81/" + NAME: data}
    assert told(world) == [f"{TOLD}/\U0010ff81/{NAME_TOLD}"]
    url = "/" + answer.headers["Location"]
    assert (await files.head(url)).headers["Upload-Metadata"] == named(f"{TOLD}/\U0010ff81/{NAME_TOLD}")
    assert (await files.ask("GET", url, {})).body == data


async def test_a_file_is_replaced(world: World, files: Collection) -> None:
    for data in (DATA, DATA[:100]):
        assert (await files.create(len(data), None, data, Upload_Metadata=named(NAME_TOLD))).status == 201
        assert found(world) == {NAME: data}
    assert [event.body.get("replaced_bytes") for event in world.events("file.uploaded")] == [None, 4096]


async def test_a_token_stands_for_such_a_directory(world: World) -> None:
    for relpath in (TOLD, "\U0010ff80" * 100):
        files = await Collection.open(world, relpath=relpath)
        assert (await files.create(4096, "x", DATA)).status == 201
        assert (await files.create(4096, f"../{NAME_TOLD}", DATA)).status == 400
    assert found(world) == {DIRECTORY + b"/x": DATA, b"\x80" * 100 + b"/x": DATA}


async def test_what_is_there_already_need_not_be_sent(world: World, files: Collection) -> None:
    path = f"{TOLD}/{NAME_TOLD}"
    await world.upload(path, DATA)
    announced = metadata(relativePath=path, sha256=digest(DATA))
    answer = await files.create(len(DATA), None, Upload_Metadata=announced)
    assert (answer.status, answer.headers["Upload-Offset"]) == (201, str(len(DATA)))
    assert told(world) == [path] * 2


async def test_parts_are_put_together_there(world: World, files: Collection) -> None:
    parts = [await files.begin(3, None, Upload_Concat="partial") for _ in range(2)]
    for part, data in zip(parts, (b"abc", b"def"), strict=True):
        assert (await files.patch(part, 0, data)).status == 204
    final = f"final;{parts[0]} {parts[1]}"
    await files.begin(None, None, Upload_Concat=final, Upload_Metadata=named(f"{TOLD}/{NAME_TOLD}"))
    assert found(world) == {DIRECTORY + b"/" + NAME: b"abcdef"}


@pytest.mark.parametrize("path", [f"{TOLD}/{NAME_TOLD}", "\U0010ff80" * 255], ids=["short", "long"])
async def test_an_upload_whose_record_was_lost_goes_on(world: World, files: Collection, path: str) -> None:
    """All that is known of it is what is noted beside its bytes, where little can be noted."""
    url = await files.begin(6, None, Upload_Metadata=named(path))
    await files.patch(url, 0, b"abc")
    await world.let_go(url)
    world.store.records.clear()
    head = await files.head(url)
    assert (head.headers["Upload-Offset"], head.headers["Upload-Metadata"]) == ("3", named(path))
    assert (await files.patch(url, 3, b"def")).status == 204
    assert found(world) == {b"/".join(os.fsencode(name) for name in read_path(path).parts): b"abcdef"}
    assert told(world) == [path]


async def test_a_commit_that_was_broken_off_is_finished(
    world: World, files: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A gateway dies when it has put a file at its place; the sweeper of another one tells of it."""
    url = await files.begin(6, None, Upload_Metadata=named(f"{TOLD}/{NAME_TOLD}"))
    assert (await files.patch(url, 0, b"abc")).status == 204

    async def dies(*args: object) -> None:
        raise anyio.ClosedResourceError

    with monkeypatch.context() as patch:
        patch.setattr(world.gate.uploads.finisher, "_commit", dies)
        assert (await files.patch(url, 3, b"def")).status == 500
    assert told(world) == []
    for record in world.store.records.values():
        record.due = 0.0 if record.due is not None else None
    await world.gate.uploads.sweep(10)
    assert told(world) == [f"{TOLD}/{NAME_TOLD}"]
    assert found(world) == {DIRECTORY + b"/" + NAME: b"abcdef"}


@pytest.mark.parametrize("world", ["one step"], indirect=True)
async def test_a_small_one_of_a_gateway_that_died_is_told_of(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrivals, "_LEAST_SECONDS", 0)
    note = Brief(VFolderId.parse(FOLDER), read_path(f"{TOLD}/{NAME_TOLD}")).encode()
    arriving = world.path / ".penstock/arriving" / f"{SESSION}.{arrivals._text(note)}"
    arriving.write_bytes(DATA)
    os.link(arriving, world.folder / os.fsdecode(DIRECTORY) / os.fsdecode(NAME))
    await world.gate.uploads.at_once.recover()
    await world.take_over()
    assert not arriving.exists()
    assert told(world) == [f"{TOLD}/{NAME_TOLD}"]


# --- copies -----------------------------------------------------------------------------------------


async def test_a_file_is_copied_there(world: World) -> None:
    await world.upload(NAME_TOLD, DATA)
    (world.folder / "plain").mkdir()
    body = {"volume": "disk", "vfid": FOLDER, "relpath": NAME_TOLD}
    inside = [(place, f"{place}/{NAME_TOLD}") for place in (TOLD, "plain")]
    for target, path in (*inside, ("x\U0010ff82", "x\U0010ff82")):
        answer = await world.manager("POST", "/folder/file/copy", {**body, "dst_relpath": target})
        assert (answer.status, answer.json["path"]) == (200, path)
    assert found(world) == dict.fromkeys([NAME, DIRECTORY + b"/" + NAME, b"plain/" + NAME, b"x\x82"], DATA)
