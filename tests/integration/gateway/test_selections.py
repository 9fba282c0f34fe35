"""Selections: many names behind a short token, and patterns."""

from __future__ import annotations

import io
import os
import tarfile
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from harness.world import FOLDER, Answer, World, open_world

from bus.memory.store import now
from domain.errors import BackendFaultError, BackendUnavailableError, ForbiddenError, Subject
from domain.ids import VFolderId
from gateway.client import selecting

pytestmark = pytest.mark.anyio

FILES = ("a.csv", "b.txt", "x/c.csv", "x/y/d.csv", "x/y/e.txt", ".hidden/f.csv", "[1].csv", "1.csv", "empty/g.bin")
CSV = {"1.csv", "[1].csv", "a.csv", "x/c.csv", "x/y/d.csv", ".hidden/f.csv"}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path) as opened:
        await opened.make_folder()
        for name in FILES:
            path = opened.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(name)
        yield opened


async def token(world: World, *files: str, **more: Any) -> str:
    body = {"volume": "disk", "virtual_folder_id": FOLDER, "files": list(files), **more}
    answer = await world.manager("POST", "/folder/file/archive-download-token", body)
    assert answer.status == 200, answer.body
    return str(answer.json["token"])


async def selected(world: World, *files: str) -> Answer:
    return await world.client("GET", f"/download-archive?token={await token(world, *files)}")


def told(answer: Answer) -> tuple[set[str], list[str]]:
    """Which files are in an archive, each with its own bytes, and what it tells of others."""
    assert answer.status == 200, answer.body
    with zipfile.ZipFile(io.BytesIO(answer.body)) as archive:
        names = set(archive.namelist()) - {"_ERRORS.txt"}
        assert all(archive.read(name).decode() == name for name in names if not name.endswith("/"))
        has_errors = "_ERRORS.txt" in archive.namelist()
        return names, archive.read("_ERRORS.txt").decode().splitlines() if has_errors else []


def many(count: int) -> list[str]:
    return [f"many/a file with a name of some length, number {number:04}.bin" for number in range(count)]


@pytest.mark.parametrize("count", [150, 1000])
async def test_many_files_have_a_short_token_every_gateway_knows(world: World, tmp_path: Path, count: int) -> None:
    (world.folder / "many").mkdir()
    for name in many(count):
        (world.folder / name).write_text(name)
    short = await token(world, *many(count))
    assert len(short) < 1000
    target = f"/download-archive?token={short}"
    assert told(await world.client("GET", target)) == (set(many(count)), [])
    assert (await world.client("HEAD", target)).status == 200
    assert told(await world.client("GET", f"{target}&filename=x")) == (set(many(count)), [])
    async with open_world(tmp_path, store=world.store) as other:
        assert told(await other.client("GET", target)) == (set(many(count)), [])


async def test_few_files_are_named_in_the_token(world: World) -> None:
    assert told(await selected(world, *many(20), "a.csv"))[0] == {"a.csv"}
    assert not [name for name in world.store.records if name.startswith("selection:")]


async def test_names_are_kept_as_long_as_their_token_holds(world: World) -> None:
    short = await token(world, *many(150), "a.csv", filename="mine.zip")
    (name,) = [name for name in world.store.records if name.startswith("selection:")]
    keep = world.store.records[name].expires - now()
    assert world.gate.settings.token_seconds < keep < world.gate.settings.token_seconds + 1000
    answer = await world.client("GET", f"/download-archive?token={short}")
    assert 'filename="mine.zip"' in answer.headers["Content-Disposition"]
    del world.store.records[name]
    answer = await world.client("GET", f"/download-archive?token={short}")
    assert (answer.status, answer.headers["Content-Type"].partition(";")[0]) == (410, "application/problem+json")


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (["**/*.csv"], CSV),
        (["*.csv"], {"1.csv", "[1].csv", "a.csv"}),
        (["x/**"], {"x/c.csv", "x/y/d.csv", "x/y/e.txt"}),
        (["x/*/d.csv"], {"x/y/d.csv"}),
        (["**/[de].*"], {"x/y/d.csv", "x/y/e.txt"}),
        (["x/?.csv", "b.txt"], {"x/c.csv", "b.txt"}),
        (["**/d.csv", "x"], {"x/c.csv", "x/y/d.csv", "x/y/e.txt"}),
        (["[1].csv"], {"[1].csv"}),
        (["[1]*.csv"], {"1.csv"}),
        (["./x/../*.txt"], {"b.txt"}),
    ],
)
async def test_patterns_are_looked_up_when_the_archive_is_made(
    world: World, files: list[str], expected: set[str]
) -> None:
    assert told(await selected(world, *files)) == (expected, [])


async def test_names_that_are_no_utf8_are_found(world: World) -> None:
    (world.folder / os.fsdecode(b"x/\xff.csv")).write_bytes(b"foreign")
    target = f"/download-archive?token={await token(world, 'x/?.csv', 'x/[' + chr(0x10FFFF) + '].csv')}&format=tar"
    answer = await world.client("GET", target)
    with tarfile.open(fileobj=io.BytesIO(answer.body)) as archive:
        assert len(archive.getnames()) == 2
        assert b"foreign" in [archive.extractfile(name).read() for name in archive.getnames()]


async def test_nothing_may_be_left_out_if_nothing_is_to_be(world: World) -> None:
    for files, status in ((["a.csv", "nowhere"], 409), (["a.csv", "nothing*"], 409), (["a.csv", "*.csv"], 200)):
        target = f"/download-archive?token={await token(world, *files)}"
        assert (await world.client("GET", target)).status == 200
        assert (await world.client("GET", f"{target}&strict=1")).status == status
    directory = f"/download?token={await world.download_token('x')}&archive=1&strict=1"
    assert (await world.client("GET", directory)).status == 200
    os.mkfifo(world.folder / "x" / "pipe")
    assert (await world.client("GET", directory)).status == 409


async def test_archives_caches_may_not_keep(world: World) -> None:
    selection = f"/download-archive?token={await token(world, 'x')}"
    directory = f"/download?token={await world.download_token('x')}&archive=1"
    for target in (selection, directory):
        for query, expected in (
            ("", "private"),
            ("&no_cache=1", "no-store"),
            ("&no_cache=1&format=tar.gz", "no-store"),
        ):
            answer = await world.client("GET", target + query)
            assert answer.headers["Cache-Control"] == expected


async def test_what_is_new_is_found_and_tagged_as_another_archive(world: World) -> None:
    target = f"/download-archive?token={await token(world, '**/*.csv')}"
    first = await world.client("GET", target)
    resumed = await world.client("GET", target, headers={"Range": "bytes=10-", "If-Range": first.headers["ETag"]})
    assert (resumed.status, resumed.body) == (206, first.body[10:])
    (world.folder / "x" / "new.csv").write_text("x/new.csv")
    second = await world.client("GET", target)
    assert told(second) == ({*CSV, "x/new.csv"}, [])
    assert second.headers["ETag"] != first.headers["ETag"]


async def test_what_a_pattern_does_not_lead_to(world: World) -> None:
    os.symlink("a.csv", world.folder / "link.csv")
    os.symlink("x", world.folder / "dir.csv")
    os.mkfifo(world.folder / "pipe.csv")
    upload = await world.upload_token("z.csv", 10)
    await world.patch(upload, 0, b"12345")
    names, errors = told(await selected(world, "**/*.csv", "nothing*", "nowhere"))
    assert names == CSV
    expected = ["dir.csv: not a file", "link.csv: not a file", "nothing*: nothing found", "nowhere: not there"]
    assert sorted(errors) == [*expected, "pipe.csv: not a file"]
    assert (await selected(world, "nothing*")).status == 404
    assert (await selected(world, ".upload/*", "[.]upload/*")).status == 404


async def test_a_name_that_leads_out_of_the_folder_is_told(world: World, tmp_path: Path) -> None:
    (tmp_path / "outside" / "sub").mkdir(parents=True)
    (tmp_path / "outside" / "secret.csv").write_text("secret")
    os.symlink(tmp_path / "outside", world.folder / "out")
    os.symlink("../" * 9 + "etc", world.folder / "x" / "up")
    os.symlink("loop", world.folder / "loop")
    leading_out = ["loop/b", "out/secret.csv", "out/sub", "x/up/passwd"]
    names, errors = told(await selected(world, "a.csv", "out", *leading_out))
    assert names == {"a.csv"}
    expected = [f"{name}: leads out of the folder" for name in leading_out]
    assert sorted(errors) == sorted([*expected, "out: not a file"])
    assert told(await selected(world, "b.txt", "out/*.csv")) == ({"b.txt"}, ["out/*.csv: nothing found"])
    strict = f"/download-archive?token={await token(world, 'a.csv', 'out/secret.csv')}&strict=1"
    assert (await world.client("GET", strict)).status == 409
    assert (await selected(world, "out/secret.csv")).status == 404


async def test_a_name_that_may_not_be_reached_is_told(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    stat = type(world.volume.files(None)).stat

    async def refusing(files: Any, path: Any) -> Any:
        if path.parts[0] == "x" and len(path.parts) > 1:
            raise ForbiddenError("the storage does not permit it", subject=Subject.FILE)
        return await stat(files, path)

    monkeypatch.setattr(type(world.volume.files(None)), "stat", refusing)
    assert told(await selected(world, "a.csv", "x/c.csv")) == ({"a.csv"}, ["x/c.csv: forbidden"])
    assert told(await selected(world, "a.csv", "x/*.csv")) == ({"a.csv", "x/c.csv"}, [])


async def test_a_directory_that_cannot_be_read_is_told(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    listing = type(world.volume.files(None)).listing

    async def failing(files: Any, path: Any, *, limit: int) -> Any:
        if str(path) == "x/y":
            raise BackendFaultError("EIO")
        return await listing(files, path, limit=limit)

    monkeypatch.setattr(type(world.volume.files(None)), "listing", failing)
    assert told(await selected(world, "x/**")) == ({"x/c.csv"}, ["x/y: backend-fault"])
    assert told(await selected(world, "a.csv", "x/y")) == ({"a.csv", "x/y/"}, ["x/y: backend-fault"])


@pytest.mark.parametrize("names", [["**/*.csv"], ["x"]])
async def test_a_storage_that_does_not_answer_says_nothing_of_a_directory(
    world: World, monkeypatch: pytest.MonkeyPatch, names: list[str]
) -> None:
    files = type(world.volume.files(VFolderId.parse(FOLDER)))
    listing = files.listing

    async def silent(self: Any, path: Any, **how: Any) -> Any:
        if str(path) == "x/y":
            raise BackendUnavailableError("no answer", subject=Subject.VOLUME)
        return await listing(self, path, **how)

    monkeypatch.setattr(files, "listing", silent)
    assert (await selected(world, *names)).status == 503


async def test_only_so_much_is_looked_at(tmp_path: Path) -> None:
    async with open_world(tmp_path, archive_limit=20) as world:
        await world.make_folder()
        for directory in ("few", "many"):
            (world.folder / directory).mkdir()
        for number in range(30):
            (world.folder / "many" / f"{number}.bin").touch()
        (world.folder / "few" / "a.csv").write_text("few/a.csv")
        answer = await selected(world, "**/*.csv")
        assert (answer.status, answer.json["max_entries"]) == (413, 20)
        assert told(await selected(world, "few/**/*.csv")) == ({"few/a.csv"}, [])
        patterns = [f"few/*{number}" for number in range(selecting._PATTERNS + 1)]
        assert (await selected(world, *patterns)).status == 413
        assert (await selected(world, *patterns[1:], "few")).status == 200


async def test_a_folder_that_is_not_there(world: World) -> None:
    body = {"volume": "disk", "virtual_folder_id": FOLDER.replace("aabb0001", "aabb0009"), "files": ["*"]}
    answer = await world.manager("POST", "/folder/file/archive-download-token", body)
    answer = await world.client("GET", f"/download-archive?token={answer.json['token']}")
    assert answer.json["type"].endswith("/vfolder/not-found")


async def test_a_large_directory(world: World) -> None:
    (world.folder / "large").mkdir()
    names = [f"large/{number}.csv" for number in range(500)]
    for name in names:
        (world.folder / name).write_text(name)
    assert told(await selected(world, "large/*.csv", "large/7.csv")) == (set(names), [])
