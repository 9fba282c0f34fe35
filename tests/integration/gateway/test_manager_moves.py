"""The manager's port: moves that are none, that a file system takes for none, or does not do."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from harness.world import FOLDER, World

pytestmark = [pytest.mark.anyio, pytest.mark.folder]


async def move(world: World, source: str, destination: str) -> int:
    body = {"volume": "disk", "vfid": FOLDER, "src_relpath": source, "dst_relpath": destination}
    return (await world.manager("POST", "/folder/file/move", body)).status


def moved(world: World) -> list[Any]:
    return [(e.body["source"], e.body["destination"], e.body["replaced"]) for e in world.events("file.moved")]


async def test_a_file_that_has_its_new_name_already_loses_the_old_one(world: World) -> None:
    (world.folder / "a").write_bytes(b"data")
    (world.folder / "d").mkdir()
    for name in ("b", "d/c"):
        os.link(world.folder / "a", world.folder / name)
    assert await move(world, "a", "b") == 204
    assert await move(world, "b", "d/c") == 204
    assert sorted(os.listdir(world.folder)) == ["d"]
    assert (world.folder / "d/c").read_bytes() == b"data"
    assert moved(world) == [("a", "b", True), ("b", "d/c", True)]


async def test_a_file_that_is_moved_to_where_it_is_stays(world: World) -> None:
    (world.folder / "a").write_bytes(b"data")
    os.link(world.folder / "a", world.folder / "b")
    os.symlink(".", world.folder / "here")
    assert await move(world, "a", "here/a") == 204
    assert await move(world, "a", "d/../a") == 204
    assert sorted(os.listdir(world.folder)) == ["a", "b", "here"]
    assert moved(world) == [("a", "here/a", True)]


async def test_other_names_of_a_file_stay(world: World) -> None:
    for name in ("a", "b"):
        (world.folder / name).write_bytes(name.encode())
    os.link(world.folder / "a", world.folder / "other")
    assert await move(world, "a", "b") == 204
    assert sorted(os.listdir(world.folder)) == ["b", "other"]
    assert (world.folder / "b").read_bytes() == b"a"


@pytest.fixture
def mounted(world: World) -> Iterator[None]:
    place = world.folder / "d/mounted"
    place.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(place)], check=True)
    yield
    subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.mark.usefixtures("mounted")
async def test_what_is_in_use_stays_until_it_is_not(world: World) -> None:
    """Such as where something is mounted, and on NFS what was removed while it was open."""
    for route, body in (
        ("delete", {"relpaths": ["d"], "recursive": True}),
        ("move", {"src_relpath": "d/mounted", "dst_relpath": "e"}),
    ):
        answer = await world.manager("POST", f"/folder/file/{route}", {"volume": "disk", "vfid": FOLDER, **body})
        assert (answer.status, answer.json["type"]) == (423, "urn:penstock:problem:locked"), route
        assert int(answer.headers["Retry-After"]) >= 1
    assert os.listdir(world.folder) == ["d"]
    assert world.events("file.deleted") == []
