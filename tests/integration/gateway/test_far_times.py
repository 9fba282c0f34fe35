"""Files with times no calendar has, which some file systems keep: they are served, and so is all beside them."""

from __future__ import annotations

import io
import os
import tarfile
import tempfile
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from harness.world import FOLDER, World, open_world

pytestmark = pytest.mark.anyio

#: Seconds since 1970, and what a listing tells of them.
TIMES = {
    2**50: "9999-12-31T23:59:59",
    253_402_300_800: "9999-12-31T23:59:59",
    253_402_300_799: "9999-12-31T23:59:59",
    -62_135_596_800: "0001-01-01T00:00:00",
    -62_135_596_801: "0001-01-01T00:00:00",
    -(2**50): "0001-01-01T00:00:00",
}


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """On a file system that keeps times of 64 bits."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as place:
        async with open_world(Path(place)) as opened:
            await opened.make_folder()
            yield opened


async def listed(world: World) -> dict[str, Any]:
    answer = await world.manager("POST", "/folder/file/list", {"volume": "disk", "vfid": FOLDER, "relpath": "."})
    assert answer.status == 200, answer.body
    return {item["name"]: item["stat"] for item in answer.json["items"]}


@pytest.mark.parametrize("second", TIMES)
async def test_a_file_of_any_time_is_listed_and_sent(world: World, second: int) -> None:
    path = world.folder / "f"
    path.write_bytes(b"data")
    os.utime(path, ns=(0, second * 10**9 + 5000))
    assert (await listed(world))["f"]["modified"] == f"{TIMES[second]}.000005+00:00"
    assert (await world.download("f")).body == b"data"
    zipped = await world.download(".", archive="1")
    assert zipfile.ZipFile(io.BytesIO(zipped.body)).read("f") == b"data"
    for form in ("tar", "tar.gz"):
        answer = await world.download(".", archive="1", format=form)
        with tarfile.open(fileobj=io.BytesIO(answer.body)) as archive:
            assert archive.getnames() == ["f"]
            (member,) = archive
            assert archive.extractfile(member).read() == b"data"


async def test_an_archive_with_such_a_file_changes_its_tag_with_it(world: World) -> None:
    path = world.folder / "f"
    path.write_bytes(b"data")
    tags = set()
    for second in (2**50, 2**50 + 1, -(2**50)):
        os.utime(path, ns=(0, second * 10**9))
        tags.add((await world.download(".", archive="1")).headers["ETag"])
    assert len(tags) == 3
