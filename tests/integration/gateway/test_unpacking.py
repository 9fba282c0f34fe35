"""Archives unpacked on the server; and what is not."""

from __future__ import annotations

import io
import os
import stat
import tarfile
import zipfile
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import anyio
import pytest
import zstandard
from harness.archives import tar_of, zip_of
from harness.fields import metadata
from harness.folders import files_below
from harness.tus import Collection
from harness.uploads import reserved, session_of
from harness.world import SCOPE, Answer, World, open_world

from backends.contract import SmallFile
from backends.mounted.files import MountedFiles
from domain.errors import BackendFaultError
from gateway.archive.unpack import check
from gateway.uploads import unpacking

pytestmark = pytest.mark.anyio

BIG = os.urandom(3 << 20)
FILES = {"a.txt": b"aaa", "d/e/한글": BIG, "d/empty": b""}
LIMITS: dict[str, Any] = {"unpack_entries": 20, "unpack_bytes": 64 << 20, "unpack_ratio": 50}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path, **LIMITS) as opened:
        await opened.make_folder()
        yield opened


def a_zip(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    return zip_of(files, method, directory="nothing")


def a_tar(files: dict[str, bytes], mode: str = "w") -> bytes:
    return tar_of(files, mode, directory="nothing")


MAKERS: dict[str, Callable[[dict[str, bytes]], bytes]] = {
    "zip": a_zip,
    "tar": a_tar,
    "tar.gz": lambda files: a_tar(files, "w:gz"),
    "tar.xz": lambda files: a_tar(files, "w:xz"),
    "tar.zst": lambda files: zstandard.ZstdCompressor().compress(a_tar(files)),
}


async def send(world: World, data: bytes, name: str = "in/archive") -> Answer:
    return await send_with(world, await world.upload_token(name, len(data)), data)


async def send_with(world: World, token: str, data: bytes) -> Answer:
    return await world.patch(token, 0, io.BytesIO(data), extract="1")


async def ask_again(world: World, token: str) -> Answer:
    return await world.client("HEAD", f"/upload?token={token}&extract=1")


def found(world: World) -> dict[str, bytes]:
    return files_below(world.folder)


def unpacked(world: World) -> list[str]:
    """What came of archives, without those that are kept."""
    return sorted(name for name in found(world) if not name.startswith("."))


@pytest.mark.parametrize("kind", list(MAKERS))
async def test_an_archive_is_unpacked_where_it_would_be(world: World, kind: str) -> None:
    answer = await send(world, MAKERS[kind](FILES), f"in/archive.{kind}")
    assert answer.status == 204, answer.body
    assert found(world) == {f"in/{name}": data for name, data in FILES.items()}
    assert (world.folder / "in" / "nothing").is_dir()
    (event,) = world.events("archive.unpacked")
    assert (event.body["path"], event.body["files"]) == ("in", 3)
    assert event.body["size_bytes"] == sum(map(len, FILES.values()))
    assert world.events("file.uploaded") == []


async def test_who_speaks_tus_asks_for_it_in_the_metadata(world: World) -> None:
    files = await Collection.open(world)
    data = a_zip({"a": b"1"})
    url = await files.begin(len(data), None, Upload_Metadata=metadata(filename="x/y.zip", extract="1"))
    assert (await files.patch(url, 0, data)).status == 204
    assert (await files.head(url)).headers["Upload-Offset"] == str(len(data))
    assert found(world) == {"x/a": b"1"}
    bad = await files.create(1, None, Upload_Metadata=metadata(filename="x", extract="maybe"))
    assert bad.status == 400


def linked_zip() -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        info = zipfile.ZipInfo("link")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, "/etc/passwd")
    return target.getvalue()


def linked_tar(kind: bytes) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        info = tarfile.TarInfo("link")
        info.type, info.linkname = kind, "../../etc/passwd"
        archive.addfile(info)
    return target.getvalue()


def lying_zip() -> bytes:
    """A member that is longer than the directory says."""
    data = bytearray(a_zip({"a": b"x" * 1000}, zipfile.ZIP_STORED))
    for mark, at in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        place = data.index(mark) + at
        data[place : place + 4] = (10).to_bytes(4, "little")
    return bytes(data)


BAD: dict[str, tuple[bytes, int]] = {
    "slip": (a_zip({"../../x": b"1"}), 400),
    "absolute": (a_tar({"/etc/x": b"1"}), 400),
    "reserved": (a_zip({".upload/x": b"1"}), 400),
    "twice": (a_tar({"a": b"1", "b/../a": b"2"}), 400),
    "a file, then a directory": (a_zip({"z": b"0", "q/a": b"1", "q/a/b": b"2"}), 400),
    "a directory, then a file": (a_tar({"z": b"0", "q/a/b": b"2", "q/a": b"1"}), 400),
    "no name": (a_zip({"z": b"0", "x/..": b"1"}), 400),
    "too long where it would be": (a_zip({"/".join(["n" * 255] * 12): b"1"}), 400),
    "zip link": (linked_zip(), 400),
    "symlink": (linked_tar(tarfile.SYMTYPE), 400),
    "hard link": (linked_tar(tarfile.LNKTYPE), 400),
    "device": (linked_tar(tarfile.CHRTYPE), 400),
    "lie": (lying_zip(), 400),
    "many": (a_zip({str(number): b"" for number in range(30)}), 413),
    "bomb": (a_zip({"a": bytes(40 << 20)}), 413),
    "large": (MAKERS["tar.zst"]({"a": bytes(40 << 20), "b": bytes(40 << 20)}), 413),
    "none": (b"this is no archive at all", 400),
    "cut": (a_zip(FILES)[:-50], 400),
    "cut tar": (MAKERS["tar.gz"](FILES)[:-5000], 400),
}


@pytest.mark.parametrize("case", list(BAD))
async def test_what_is_not_unpacked(world: World, case: str) -> None:
    data, status = BAD[case]
    answer = await send(world, data)
    assert answer.status == status, answer.body
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    assert unpacked(world) == []
    assert world.events("archive.unpacked") == []
    assert not list(world.path.parent.glob("x"))


async def test_an_empty_upload_is_no_archive(world: World) -> None:
    """By a token it is a file before anybody can say what it is to become."""
    token = await world.upload_token("in/archive", 0)
    for answer in [await send_with(world, token, b""), await ask_again(world, token)]:
        assert answer.status == 400, answer.body
    assert found(world) == {"in/archive": b""}
    assert (await world.patch(token, 0, b"")).status == 204
    files = await Collection.open(world)
    said = metadata(filename="other/y.zip", extract="1")
    assert (await files.create(0, None, Upload_Metadata=said)).status == 400
    assert found(world) == {"in/archive": b""}


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Lengths of archives as they are looked through."""
    lengths: list[int] = []

    def looking(file: IO[bytes], size: int, *more: Any) -> int:
        lengths.append(size)
        return check(file, size, *more)

    monkeypatch.setattr(unpacking, "check", looking)
    return lengths


@pytest.mark.parametrize("case", ["slip", "many", "bomb", "none", "lie"])
async def test_what_was_refused_is_told_again_and_not_looked_at_again(
    world: World, looks: list[int], case: str
) -> None:
    data, status = BAD[case]
    token = await world.upload_token("in/archive", len(data))
    first = await send_with(world, token, data)
    again = await world.patch(token, len(data), b"", extract="1")
    assert (first.status, first.json) == (again.status, again.json)
    assert (await ask_again(world, token)).status == status
    # Another gateway knows of it as well.
    async with open_world(world.path, store=world.store, **LIMITS) as other:
        assert (await ask_again(other, token)).status == status
    assert looks == [len(data)]


async def test_other_limits_are_another_answer(world: World, looks: list[int]) -> None:
    data, _ = BAD["many"]
    token = await world.upload_token("in/archive", len(data))
    assert (await send_with(world, token, data)).status == 413
    async with open_world(world.path, store=world.store, **{**LIMITS, "unpack_entries": 100}) as other:
        assert (await ask_again(other, token)).status == 200
    assert looks == [len(data)] * 2
    assert len(found(world)) == 30


async def test_another_directory_is_another_answer(world: World) -> None:
    data, _ = BAD["too long where it would be"]
    token = await world.upload_token("archive", len(data))
    answer = await world.patch(token, 0, io.BytesIO(data), extract="1", dst_dir="in")
    assert answer.status == 400
    assert (await ask_again(world, token)).status == 400, "it is recorded where it is to be"
    head = await world.client("HEAD", f"/upload?token={token}&extract=1&dst_dir=.")
    assert (head.status, len(unpacked(world))) == (200, 1)


async def test_an_archive_that_was_changed_since_it_was_looked_through(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who has the folder mounted can write where uploads gather."""

    def looking(file: IO[bytes], size: int, *more: Any) -> int:
        return check(file, size, *more) - 1

    monkeypatch.setattr(unpacking, "check", looking)
    assert (await send(world, a_zip({"a": b"x" * 1000}))).status == 400
    assert unpacked(world) == []


def storing(monkeypatch: pytest.MonkeyPatch, before: Callable[[str, Sequence[SmallFile]], Any]) -> None:
    """Have something happen before small files of an archive are stored."""
    store_many = MountedFiles.store_many

    async def stored(self: MountedFiles, session: str, files: Sequence[SmallFile]) -> Sequence[int | None]:
        await before(session, files)
        return await store_many(self, session, files)

    monkeypatch.setattr(MountedFiles, "store_many", stored)


async def test_an_archive_is_unpacked_once_whoever_asks_and_whatever_happens_to_its_record(
    world: World, looks: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    stored: list[int] = []
    sessions = world.gate.uploads.sessions

    async def change(session: str, files: Sequence[SmallFile]) -> None:
        stored.append(len(files))
        known = await sessions.require(session)
        await sessions.replace(known, replace(known.session, expires=known.session.expires + 1))

    storing(monkeypatch, change)
    data = a_zip({"a": b"1", "b": b"2"})
    token = await world.upload_token("in/archive", len(data))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(send_with, world, token, data)
        await world.settled(lambda: looks)
        for _ in range(3):
            tasks.start_soon(ask_again, world, token)
    assert (looks, stored) == ([len(data)], [2])
    assert found(world) == {"in/a": b"1", "in/b": b"2"}
    assert len(world.events("archive.unpacked")) == 1


async def limit(world: World, count: int) -> None:
    body = {"volume": "disk", "qsid": SCOPE, "options": {"limit_bytes": count}}
    assert (await world.manager("PATCH", "/quota-scope", body)).status == 204


async def test_archives_that_come_together_do_not_pass_a_limit(world: World) -> None:
    await limit(world, 1_000_000)
    data = a_zip({"a": bytes(600_000)})
    tokens = [await world.upload_token(f"{number}/archive", len(data)) for number in range(4)]
    answers: list[Answer] = []

    async def one(token: str) -> None:
        answers.append(await send_with(world, token, data))

    async with anyio.create_task_group() as tasks:
        for token in tokens:
            tasks.start_soon(one, token)
    assert {answer.status for answer in answers} <= {204, 413}
    # One of them gets in, if not at once.
    for token in tokens:
        await ask_again(world, token)
    assert len(unpacked(world)) == len(world.events("archive.unpacked")) == 1
    assert reserved(world) == [len(data)] * 3


async def test_what_an_archive_becomes_is_reserved_while_it_is_unpacked(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await limit(world, 1_000_000)
    data = a_zip({"a": bytes(100_000), "b": bytes(100_000)})
    seen: list[list[int]] = []

    async def look(session: str, files: Sequence[SmallFile]) -> None:
        seen.append(reserved(world))

    storing(monkeypatch, look)
    assert (await send(world, data)).status == 204
    assert (seen, reserved(world)) == ([[len(data) + 200_000]], [])
    assert (await send(world, a_zip({"a": bytes(900_000)}), "more/archive")).status == 413
    assert (await send(world, a_zip({"a": bytes(700_000)}), "less/archive")).status == 204


async def test_what_was_reserved_is_given_back_when_unpacking_fails(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await limit(world, 1_000_000)
    data = a_zip({"a": bytes(100_000)})
    token = await world.upload_token("in/archive", len(data))

    async def fail(session: str, files: Sequence[SmallFile]) -> None:
        raise BackendFaultError("the disk is broken")

    with monkeypatch.context() as patched:
        storing(patched, fail)
        assert (await send_with(world, token, data)).status == 502
    assert reserved(world) == [len(data)]
    assert (await ask_again(world, token)).status == 200
    assert (unpacked(world), reserved(world)) == (["in/a"], [])


@pytest.mark.parametrize("name", ["d", "f/below"])
async def test_something_is_in_the_way_of_a_member(world: World, name: str) -> None:
    """What comes before it may be at its place; when it is out of the way the rest comes as well."""
    await limit(world, 10 << 20)
    there = world.folder / "in" / name.partition("/")[0]
    there.mkdir(parents=True) if name == "d" else (await world.upload("in/f", b"1"))
    files = {"before": BIG, name: b"2", "behind": b"3"}
    data = a_zip(files)
    token = await world.upload_token("in/archive", len(data))
    for answer in [await send_with(world, token, data), await ask_again(world, token)]:
        assert answer.status == 400
        assert reserved(world) == [len(data)]
    answer = await world.patch(token, len(data), b"", extract="1")
    assert (answer.status, answer.json["paths"]) == (400, [f"in/{name}"])
    assert (world.folder / "in" / "before").read_bytes() == BIG
    there.rmdir() if name == "d" else there.unlink()
    assert (await ask_again(world, token)).status == 200
    assert found(world) == {f"in/{member}": content for member, content in files.items()}


async def test_a_file_is_in_the_way_of_a_directory(world: World) -> None:
    await world.upload("in/nothing", b"1")
    assert (await send(world, a_zip({"a": b"2"}))).status == 400
    assert unpacked(world) == ["in/nothing"]
    assert not world.events("archive.unpacked")


async def test_of_a_large_member_that_has_no_place_nothing_is_left(world: World) -> None:
    (world.folder / "in" / "d").mkdir(parents=True)
    data = a_zip({"d": BIG})
    token = await world.upload_token("in/archive", len(data))
    assert (await send_with(world, token, data)).status == 400
    assert [path.name for path in (world.folder / ".upload").iterdir()] == [session_of(token)]


async def test_an_archive_with_no_room_is_looked_through_once(world: World, looks: list[int]) -> None:
    await limit(world, 1_000_000)
    data = a_zip({"a": bytes(2_000_000)})
    token = await world.upload_token("in/archive", len(data))
    assert (await send_with(world, token, data)).status == 413
    assert (await ask_again(world, token)).status == 413
    await limit(world, 3_000_000)
    assert (await ask_again(world, token)).status == 200
    assert (looks, unpacked(world)) == ([len(data)], ["in/a"])


async def test_an_archive_that_becomes_too_much_for_its_owner(world: World) -> None:
    await limit(world, 1_000_000)
    answer = await send(world, a_zip({"a": bytes(2_000_000)}))
    assert (answer.status, answer.json["type"]) == (413, "urn:penstock:problem:quota-exceeded")
    assert unpacked(world) == []
