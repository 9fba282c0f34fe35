"""Directories and selections as archives, looked at with the programs people use."""

from __future__ import annotations

import asyncio
import io
import os
import stat
import tarfile
import zipfile
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import anyio
import pytest
import zstandard
from anyio import to_thread
from harness.world import FOLDER, World, open_world

from backends.mounted.files import MountedFiles

pytestmark = pytest.mark.anyio

FILES = {
    "a.txt": b"aaa",
    "한글/résumé.bin": os.urandom(700_000),
    "deep/" * 30 + "x": b"deep",
    "empty": b"",
    "many/1": b"1",
    "many/2": b"22",
    "n" * 150 + "/" + "m" * 150: b"long names",
}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path) as opened:
        await opened.make_folder()
        fill(opened.folder / "d")
        yield opened


def fill(root: Path) -> None:
    for name, data in FILES.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    (root / "nothing").mkdir()
    (root / "inside").symlink_to("many/1")
    (root / "outside").symlink_to("/etc/hostname")
    os.mkfifo(root / "pipe")
    (root / "a.txt").chmod(0o640)
    os.utime(root / "a.txt", (1_700_000_000, 1_700_000_001))


async def url(world: World, relpath: str = "d", **query: str) -> str:
    token = await world.download_token(relpath)
    return f"/download?token={token}&archive=1" + "".join(f"&{name}={value}" for name, value in query.items())


def told(data: bytes) -> list[str]:
    return data.decode().splitlines()


OUTSIDE = ["outside: a link out of its directory, or no file", "pipe: a link out of its directory, or no file"]


@pytest.mark.parametrize("compress", ["stored", "deflate"])
async def test_a_zip(world: World, tmp_path: Path, compress: str) -> None:
    answer = await world.client("GET", await url(world, compress=compress))
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/zip")
    assert answer.headers["Content-Disposition"] == "attachment;filename=\"d.zip\"; filename*=UTF-8''d.zip"
    with zipfile.ZipFile(io.BytesIO(answer.body)) as archive:
        assert archive.testzip() is None
        found = {info.filename: info for info in archive.infolist()}
        assert set(found) == {*FILES, "nothing/", "_ERRORS.txt"}
        assert {name: archive.read(name) for name in FILES} == FILES
        assert found["a.txt"].external_attr >> 16 == stat.S_IFREG | 0o640
        assert found["a.txt"].date_time == (2023, 11, 14, 22, 13, 20)
        assert sorted(told(archive.read("_ERRORS.txt"))) == sorted([*OUTSIDE, "inside: a link to many/1"])
    path = tmp_path / "x.zip"
    path.write_bytes(answer.body)
    await anyio.run_process(["unzip", "-tq", str(path)])


@pytest.mark.parametrize("form", ["tar", "tar.gz", "tar.zst"])
async def test_a_tar(world: World, tmp_path: Path, form: str) -> None:
    answer = await world.client("GET", await url(world, format=form))
    data = answer.body
    if form == "tar.zst":
        data = zstandard.ZstdDecompressor().decompressobj().decompress(data)
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:*") as archive:
        found = {member.name: member for member in archive.getmembers()}
        assert set(found) == {*FILES, "nothing", "inside", "_ERRORS.txt"}
        for name, expected in FILES.items():
            assert archive.extractfile(name).read() == expected
        assert (found["inside"].type, found["inside"].linkname) == (tarfile.SYMTYPE, "many/1")
        assert (found["a.txt"].mode, found["a.txt"].mtime) == (0o640, 1_700_000_001)
        assert sorted(told(archive.extractfile("_ERRORS.txt").read())) == sorted(OUTSIDE)
    path = tmp_path / f"x.{form}"
    path.write_bytes(answer.body)
    (tmp_path / "out").mkdir()
    await anyio.run_process(["tar", "-xf", str(path), "-C", str(tmp_path / "out")])
    assert (tmp_path / "out" / "한글" / "résumé.bin").read_bytes() == FILES["한글/résumé.bin"]


@pytest.mark.parametrize("form", ["zip", "tar"])
async def test_an_archive_with_a_layout_is_resumed(world: World, form: str) -> None:
    target = await url(world, format=form)
    whole = await world.client("GET", target)
    size = len(whole.body)
    assert (whole.headers["Content-Length"], whole.headers["Accept-Ranges"]) == (str(size), "bytes")
    head = await world.client("HEAD", target)
    assert (head.headers["Content-Length"], head.headers["ETag"]) == (str(size), whole.headers["ETag"])
    again = await world.client("GET", target)
    assert again.body == whole.body, "the same bytes each time"
    # Another gateway has never seen the bytes before the range.
    world.gate.checksums[world.volume.name]._known.clear()
    edges = [0, 1, 29, 30, 511, 512, 513, 700_000, size - 100, size - 22, size - 1]
    for start in edges:
        fields = {"Range": f"bytes={start}-", "If-Range": whole.headers["ETag"]}
        part = await world.client("GET", target, headers=fields)
        assert (part.status, part.body) == (206, whole.body[start:]), start
        fields["Range"] = f"bytes={start}-{start + 999}"
        part = await world.client("GET", target, headers=fields)
        assert part.body == whole.body[start : start + 1000]
    assert (await world.client("GET", target, headers={"If-None-Match": whole.headers["ETag"]})).status == 304
    (world.folder / "d" / "many" / "1").write_bytes(b"x")
    fields = {"Range": "bytes=5-", "If-Range": whole.headers["ETag"]}
    changed = await world.client("GET", target, headers=fields)
    assert changed.status == 200
    assert changed.headers["ETag"] != whole.headers["ETag"]


def before_reading(monkeypatch: pytest.MonkeyPatch, change: Callable[[], object]) -> None:
    """Have something happen after an archive was planned, and before its files are read."""
    read = MountedFiles.read_many

    async def changed(self: MountedFiles, *arguments: Any, **more: Any) -> Any:
        await to_thread.run_sync(change)
        return await read(self, *arguments, **more)

    monkeypatch.setattr(MountedFiles, "read_many", changed)


async def test_what_changes_on_the_way_breaks_an_archive_with_a_layout(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = await url(world)
    before_reading(monkeypatch, partial((world.folder / "d" / "a.txt").write_bytes, b"other"))
    with pytest.raises(aiohttp.ClientPayloadError):
        await world.client("GET", target)


@pytest.mark.parametrize("query", [{"format": "tar.gz"}, {"compress": "deflate"}])
async def test_what_vanishes_is_told_in_an_archive_without_one(
    world: World, monkeypatch: pytest.MonkeyPatch, query: dict[str, str]
) -> None:
    target = await url(world, **query)
    before_reading(monkeypatch, partial((world.folder / "d" / "a.txt").unlink, missing_ok=True))
    answer = await world.client("GET", target)
    if "format" in query:
        with tarfile.open(fileobj=io.BytesIO(answer.body)) as archive:
            names, lines = archive.getnames(), archive.extractfile("_ERRORS.txt").read()
    else:
        with zipfile.ZipFile(io.BytesIO(answer.body)) as archive:
            assert archive.testzip() is None
            names, lines = archive.namelist(), archive.read("_ERRORS.txt")
    assert "a.txt" not in names
    assert "a.txt: changed or gone" in told(lines)


async def test_a_selection(world: World) -> None:
    files = ["d/many", "d/a.txt", "d/many/1", "nowhere"]
    body = {"volume": "disk", "virtual_folder_id": FOLDER, "files": files}
    answer = await world.manager("POST", "/folder/file/archive-download-token", body)
    target = f"/download-archive?token={answer.json['token']}"
    answer = await world.client("GET", target)
    with zipfile.ZipFile(io.BytesIO(answer.body)) as archive:
        assert archive.namelist() == ["d/a.txt", "d/many/1", "d/many/2", "_ERRORS.txt"]
        assert told(archive.read("_ERRORS.txt")) == ["nowhere: not there"]
    answer = await world.client("GET", f"{target}&filename=my%20data&format=tar")
    assert 'filename="my data.tar"' in answer.headers["Content-Disposition"]
    nothing = {**body, "files": ["nowhere"]}
    token = (await world.manager("POST", "/folder/file/archive-download-token", nothing)).json["token"]
    assert (await world.client("GET", f"/download-archive?token={token}")).status == 404
    for bad in ({**body, "files": []}, {**body, "files": ["../x"]}, {**body, "files": "d"}):
        assert (await world.manager("POST", "/folder/file/archive-download-token", bad)).status == 400
    single = await world.download_token("d")
    assert (await world.client("GET", f"/download-archive?token={single}")).status == 403


@pytest.mark.parametrize("query", [{"format": "zip"}, {"format": "tar.gz"}, {"compress": "deflate"}])
async def test_an_archive_of_which_nothing_may_be_missing(world: World, query: dict[str, str]) -> None:
    assert (await world.client("GET", await url(world, strict="1", **query))).status == 409
    whole = await world.client("GET", await url(world, "d/many", strict="1", no_cache="1", **query))
    assert (whole.status, whole.headers["Cache-Control"]) == (200, "no-store")
    body = {"volume": "disk", "virtual_folder_id": FOLDER, "files": ["d/a.txt", "nowhere"]}
    token = (await world.manager("POST", "/folder/file/archive-download-token", body)).json["token"]
    assert (await world.client("GET", f"/download-archive?token={token}")).status == 200
    assert (await world.client("GET", f"/download-archive?token={token}&strict=1")).status == 409


async def test_requests_that_make_no_sense(world: World) -> None:
    assert (await world.client("GET", await url(world, format="rar"))).status == 400
    assert (await world.client("GET", await url(world, format="tar", compress="deflate"))).status == 400
    assert (await world.client("GET", await url(world, "nowhere"))).status == 404
    file = await world.client("GET", await url(world, "d/a.txt"))
    assert (file.status, file.body) == (200, b"aaa")


async def test_an_archive_holds_so_much_at_most(tmp_path: Path) -> None:
    async with open_world(tmp_path, archive_limit=5) as world:
        await world.make_folder()
        fill(world.folder / "d")
        assert (await world.client("GET", await url(world))).status == 413
        (world.folder / "small").mkdir()
        assert (await world.client("GET", await url(world, "small"))).status == 200


async def test_the_whole_folder_without_unfinished_uploads(world: World) -> None:
    token = await world.upload_token("new", 10)
    await world.patch(token, 0, b"12345")
    answer = await world.client("GET", await url(world, "."))
    with zipfile.ZipFile(io.BytesIO(answer.body)) as archive:
        assert {name.partition("/")[0] for name in archive.namelist()} == {"d", "_ERRORS.txt"}
    assert "aabb0001000040008000000000000001.zip" in answer.headers["Content-Disposition"]


class Counting:
    """Files whose bytes are counted as they are read."""

    def __init__(self, files: object, counted: list[int]) -> None:
        self._files = files
        self._counted = counted

    def __getattr__(self, name: str) -> object:
        return getattr(self._files, name)

    async def read_many(self, *arguments: object, then: Callable[[Any], Any], **more: object) -> object:
        def counting(found: Sequence[Any]) -> Any:
            self._counted.append(sum(len(one[1]) for one in found if one))
            return then(found)

        return await self._files.read_many(*arguments, then=counting, **more)


@pytest.mark.parametrize("compress", ["stored", "deflate"])
async def test_for_a_receiver_that_stands_still_little_is_read_ahead(world: World, compress: str) -> None:
    (world.folder / "much").mkdir()
    for number in range(1000):
        (world.folder / "much" / str(number)).write_bytes(os.urandom(64 << 10))
    counted: list[int] = []
    files = world.volume.files
    world.volume.files = lambda folder: Counting(files(folder), counted)
    target = await url(world, "much", compress=compress)
    reader, writer = await asyncio.open_connection("127.0.0.1", world.client_port)
    writer.transport.pause_reading()
    writer.write(f"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    await world.settled(lambda: counted)
    await anyio.sleep(1)
    # Two batches, some pieces of a MiB, and what the sockets take.
    assert 0 < sum(counted) < 32 << 20
    writer.transport.resume_reading()
    with anyio.fail_after(30):
        while sum(counted) < 1000 * (64 << 10):
            assert await reader.read(1 << 20)
    writer.close()


@pytest.mark.parametrize("compress", ["stored", "deflate"])
async def test_a_receiver_that_leaves_is_no_defect(world: World, compress: str) -> None:
    (world.folder / "much").mkdir()
    for number in range(300):
        (world.folder / "much" / str(number)).write_bytes(os.urandom(200 << 10))
    target = await url(world, "much", compress=compress)
    _, writer = await asyncio.open_connection("127.0.0.1", world.client_port)
    writer.transport.pause_reading()
    writer.write(f"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    await anyio.sleep(1)  # all is full, and waits
    answered = len(world.watching.answers)
    writer.transport.abort()
    await world.settled(lambda: len(world.watching.answers) > answered)
    assert world.watching.answers[-1].status == 499  # as one whose peer is gone
