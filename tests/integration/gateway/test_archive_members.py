"""Names of members, and what is told of those that are missing."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio import to_thread
from harness.served import FORMS, Served, served
from harness.unpacked import files_of
from harness.world import FOLDER, World, open_world

from backends.mounted.files import MountedFiles
from domain.errors import BackendUnavailableError, BusyError, PenstockError
from domain.paths import RelativePath

pytestmark = pytest.mark.anyio

ZIPS = ["zip", "deflated.zip"]
NOBODY = 65534
TARS = ["tar", "tar.gz", "tar.zst"]
#: Names on the volume, as bytes, and as they are in a ZIP archive.
NAMES = {
    b"caf\xe9": "caf%E9",
    b"dir\xff/in it": "dir%FF/in it",
    b"dir\xff/sub\\/x": "dir%FF/sub%5C/x",
    b"back\\slash": "back%5Cslash",
    b"back%5Cslash": "back%5Cslash",
    b"c:drive": "c%3Adrive",
    b"line\nbreak": "line%0Abreak",
    b"nul.txt": "%6Eul.txt",
    b"end. ": "end.%20",
    "한글".encode(): "한글",
    b"50%": "50%",
}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path) as opened:
        await opened.make_folder()
        (opened.folder / "d").mkdir()
        yield opened


@pytest.fixture
async def archives(world: World) -> AsyncIterator[Served]:
    async with served(world) as found:
        yield found


def put(world: World, name: bytes, data: bytes) -> None:
    path = os.path.join(os.fsencode(world.folder / "d"), name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(data)


@pytest.fixture
def names(world: World) -> None:
    for name in NAMES:
        put(world, name, name)


@pytest.mark.usefixtures("names")
@pytest.mark.parametrize("form", ZIPS)
async def test_names_in_a_zip_can_be_unpacked_everywhere(
    world: World, archives: Served, tmp_path: Path, form: str
) -> None:
    data = (await archives.get(form)).body
    expected = {safe: name for name, safe in NAMES.items()}
    # Two names would be the same: the one that was it keeps it.
    expected |= {"back%5Cslash": b"back%5Cslash", "back%5Cslash~1": b"back\\slash"}
    assert files_of(form, data) == expected
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert all(info.flag_bits & 0x800 for info in archive.infolist())
    path = tmp_path / "x.zip"
    path.write_bytes(data)
    await anyio.run_process(["unzip", "-q", str(path), "-d", str(tmp_path / "out")])
    assert {found for found in expected if (tmp_path / "out" / found).is_file()} == set(expected)


@pytest.mark.usefixtures("names")
@pytest.mark.parametrize("form", TARS)
async def test_names_in_a_tar_are_the_same_bytes(world: World, archives: Served, tmp_path: Path, form: str) -> None:
    path = tmp_path / f"x.{form}"
    path.write_bytes((await archives.get(form)).body)
    (tmp_path / "out").mkdir()
    await anyio.run_process(["tar", "-xf", str(path), "-C", str(tmp_path / "out")])
    for name in NAMES:
        assert (tmp_path / "out" / os.fsdecode(name)).read_bytes() == name


#: Links in `d`, and where they lead.
LINKS = {
    b"li\xffnk": b"caf\xe9",
    b"to \xf4\x8f\xbf\xbf": b"dir\xff/in it",
    "링크".encode(): "한글".encode(),
    b"dir\xff/link": b"in it",
    b"dir\xff/other": b"sub\\/x",
}
LINKS_OUT = {b"out": b"../caf\xe9", b"dir\xff/out": b"../caf\xe9", b"dir\xff/self": b"../dir\xff"}


@pytest.mark.usefixtures("names")
@pytest.mark.parametrize("form", TARS)
async def test_links_in_a_tar_are_the_same_bytes(world: World, archives: Served, tmp_path: Path, form: str) -> None:
    directory = os.fsencode(world.folder / "d")
    for name, target in (LINKS | LINKS_OUT).items():
        os.symlink(target, os.path.join(directory, name))
    path = tmp_path / f"x.{form}"
    path.write_bytes((await archives.get(form)).body)
    (tmp_path / "out").mkdir()
    await anyio.run_process(["tar", "-xf", str(path), "-C", str(tmp_path / "out")])
    out = os.fsencode(tmp_path / "out")
    for name, target in LINKS.items():
        assert os.readlink(os.path.join(out, name)) == target
    told = (tmp_path / "out" / "_ERRORS.txt").read_text().splitlines()
    assert [line.partition(": ")[0] for line in told] == ["dir%FF/out", "dir%FF/self", "out"]


@pytest.mark.usefixtures("names")
@pytest.mark.parametrize("form", ["zip", "tar"])
async def test_archives_with_such_names_are_resumed(archives: Served, form: str) -> None:
    whole = (await archives.get(form)).body
    for start in range(0, len(whole), 97):
        answer = await archives.get(form, headers={"Range": f"bytes={start}-"})
        assert answer.body == whole[start:]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("own", ["_ERRORS.txt", "_errors.TXT", "_ERRORS.txt/inside"])
async def test_a_file_of_that_name_is_kept_beside_what_is_told(
    world: World, archives: Served, form: str, own: str
) -> None:
    put(world, own.encode(), b"the user's own")
    if form in ZIPS:
        (world.folder / "d" / "link").symlink_to("a")
    os.mkfifo(world.folder / "d" / "pipe")
    put(world, b"_ERRORS-1.txt", b"another one")
    found = files_of(form, (await archives.get(form)).body)
    assert found.pop(own) == b"the user's own"
    assert found.pop("_ERRORS-1.txt") == b"another one"
    (told,) = found.items()
    assert told[0] == "_ERRORS-2.txt"
    assert told[1].startswith(b"pipe: a link out of its directory, or no file\n")


@pytest.mark.parametrize("form", FORMS)
async def test_what_is_told_is_text_with_a_line_for_each(world: World, archives: Served, form: str) -> None:
    os.mkfifo(os.path.join(os.fsencode(world.folder / "d"), b"bad\xff\nname: all is well"))
    found = files_of(form, (await archives.get(form)).body)
    assert found["_ERRORS.txt"].decode().splitlines() == [
        "bad%FF%0Aname: all is well: a link out of its directory, or no file"
    ]


@pytest.mark.parametrize("form", FORMS)
async def test_a_directory_that_vanishes_while_it_is_looked_for(
    world: World, archives: Served, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    put(world, b"a", b"aaa")
    for name in ("gone", "empty"):
        (world.folder / "d" / name).mkdir()
    listing = MountedFiles.listing

    async def listed(self: MountedFiles, path: RelativePath, *, limit: int) -> Any:
        if path.name == "gone":
            await to_thread.run_sync((world.folder / "d" / "gone").rmdir)
        return await listing(self, path, limit=limit)

    monkeypatch.setattr(MountedFiles, "listing", listed)
    answer = await archives.get(form)
    assert answer.status == 200
    found = files_of(form, answer.body)
    assert found["a"] == b"aaa"
    assert found["_ERRORS.txt"].decode().splitlines() == ["gone: gone"]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("error", "status"), [(BusyError("", retry_after_seconds=3), 503), (BackendUnavailableError(""), 503)]
)
async def test_a_storage_that_does_not_answer_now_is_no_reason_to_leave_things_out(
    world: World,
    archives: Served,
    monkeypatch: pytest.MonkeyPatch,
    form: str,
    error: PenstockError,
    status: int,
) -> None:
    put(world, b"a", b"aaa")
    put(world, b"e/b", b"bbb")
    listing = MountedFiles.listing

    async def listed(self: MountedFiles, path: RelativePath, *, limit: int) -> Any:
        if path.name == "e":
            raise error
        return await listing(self, path, limit=limit)

    monkeypatch.setattr(MountedFiles, "listing", listed)
    answer = await archives.get(form)
    assert (answer.status, "Retry-After" in answer.headers) == (status, True)


async def test_a_directory_of_very_many_is_found_whole(world: World, archives: Served) -> None:
    names = {f"{number:05}" for number in range(1700)}
    for name in names:
        (world.folder / "d" / name).touch()
        (world.folder / "d" / f"{name}.d").mkdir()
    with zipfile.ZipFile(io.BytesIO((await archives.get("zip")).body)) as archive:
        assert archive.namelist() == sorted([*names, *(f"{name}.d/" for name in names)])


@contextmanager
def as_somebody_else(world: World, *closed: Path) -> Iterator[None]:
    """Be somebody to whom all belongs that is root's on a volume, but some files only root may read."""
    for path in closed:
        path.chmod(0o600)
    for path in (world.path, *world.path.rglob("*")):
        if path not in closed and path.stat().st_uid == 0:
            os.chown(path, NOBODY, -1)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
@pytest.mark.parametrize("size", [100, 2 << 20])
@pytest.mark.parametrize("form", FORMS)
async def test_files_that_may_not_be_read_are_left_out_and_told(
    world: World, archives: Served, form: str, size: int
) -> None:
    """Whatever comes of asking again: an archive that breaks off each time can never be had."""
    put(world, b"a", bytes(size))
    put(world, b"own", b"1")
    (world.folder / "d" / "own").chmod(0o600)
    put(world, b"shared", b"2")
    (world.folder / "d" / "shared").chmod(0o640)
    os.chown(world.folder / "d" / "shared", 1, os.getegid())
    put(world, b"e/closed", bytes(size))
    with as_somebody_else(world, world.folder / "d" / "e" / "closed"):
        answer, strict = await archives.get(form), await archives.get(form, strict=True)
    found = files_of(form, answer.body)
    assert found.pop("_ERRORS.txt") == b"e/closed: forbidden\n"
    assert found == {"a": bytes(size), "own": b"1", "shared": b"2"}
    assert (strict.status, strict.json["left_out"]) == (409, 1)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
async def test_chosen_files_that_may_not_be_read_are_left_out_and_told(world: World) -> None:
    put(world, b"a", b"1")
    put(world, b"closed", b"2")
    body = {"volume": "disk", "virtual_folder_id": FOLDER, "files": ["d/a", "d/closed"]}
    token = (await world.manager("POST", "/folder/file/archive-download-token", body)).json["token"]
    with as_somebody_else(world, world.folder / "d" / "closed"):
        answer = await world.client("GET", f"/download-archive?token={token}")
    assert files_of("zip", answer.body) == {"d/a": b"1", "_ERRORS.txt": b"d/closed: forbidden\n"}
