"""Archives unpacked on the server; and what is not."""

from __future__ import annotations

import io
import os
import stat
import tarfile
import zipfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import zstandard
from harness.archives import tar_of
from harness.fields import metadata
from harness.folders import files_below
from harness.tus import Collection
from harness.world import FOLDER, Answer, World, open_world

pytestmark = pytest.mark.anyio

BIG = os.urandom(3 << 20)
FILES = {"a.txt": b"aaa", "d/e/한글": BIG, "d/empty": b""}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path, unpack_entries=20, unpack_bytes=64 << 20, unpack_ratio=50) as opened:
        await opened.make_folder()
        yield opened


def a_zip(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
        archive.writestr("nothing/", b"")
    return target.getvalue()


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
    token = await world.upload_token(name, len(data))
    return await world.patch(token, 0, io.BytesIO(data), extract="1")


def found(world: World) -> dict[str, bytes]:
    return files_below(world.folder)


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
    assert not [name for name in found(world) if not name.startswith(".")]
    assert world.events("archive.unpacked") == []
    assert not list(world.path.parent.glob("x"))


async def test_an_archive_that_becomes_too_much_for_its_owner(world: World) -> None:
    scope = {"volume": "disk", "qsid": FOLDER.partition("/")[0], "options": {"limit_bytes": 1_000_000}}
    assert (await world.manager("PATCH", "/quota-scope", scope)).status == 204
    answer = await send(world, a_zip({"a": bytes(2_000_000)}))
    assert (answer.status, answer.json["type"]) == (413, "urn:penstock:problem:quota-exceeded")
    assert not [name for name in found(world) if not name.startswith(".")]
