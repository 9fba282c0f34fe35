"""Files whose names are no UTF-8, as somebody who has the volume mounted may have made them."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest
from harness.world import FOLDER, World

from domain.foreign_names import sendable

pytestmark = pytest.mark.anyio

#: `한글.txt` as Korean Windows writes it, and what is no character in any encoding.
KOREAN = b"\xc7\xd1\xb1\xdb.txt"
NOTHING = b"\xff\xfe"


async def call(world: World, operation: str, **body: Any) -> Any:
    return await world.manager("POST", f"/folder/file/{operation}", {"volume": "disk", "vfid": FOLDER, **body})


@pytest.fixture(autouse=True)
async def folder(world: World) -> None:
    await world.make_folder()
    for name in (KOREAN, NOTHING, "é".encode()):
        (world.folder / os.fsdecode(name)).write_bytes(name)
    (world.folder / os.fsdecode(b"d\x80")).mkdir()
    (world.folder / os.fsdecode(b"d\x80") / "x").write_bytes(b"x")


def names(world: World) -> set[bytes]:
    return set(os.listdir(os.fsencode(world.folder)))


async def listed(world: World, relpath: str = ".") -> set[str]:
    answer = await call(world, "list", relpath=relpath)
    assert answer.status == 200, answer.body
    # What a strict reader makes of it: no lone surrogates.
    return {item["name"].encode().decode() for item in json.loads(answer.body.decode("ascii"))["items"]}


async def test_they_are_listed_each_as_text_of_its_own(world: World) -> None:
    assert await listed(world) == {
        "é",
        # Two of these bytes happen to be a character.
        "\U0010ffc7\u0471\U0010ffdb.txt",
        "\U0010ffff\U0010fffe",
        "d\U0010ff80",
    }
    assert await listed(world, "d\U0010ff80") == {"x"}


async def test_what_was_listed_can_be_fetched_and_deleted(world: World) -> None:
    for name in await listed(world):
        fetched = await call(world, "fetch", relpath=name)
        assert fetched.status == (400 if name.startswith("d") else 200)
        if fetched.status == 200:
            assert fetched.body in names(world)
        assert (await call(world, "delete", relpaths=[name], recursive=True)).json == {"status": "ok"}
    assert names(world) == set()
    told = [path for event in world.events("file.deleted") for path in event.body["paths"]]
    assert len(told) == 4
    assert all(path.encode() for path in told)


async def test_they_are_deleted_in_the_background(world: World) -> None:
    told = [sendable(os.fsdecode(name)) for name in (KOREAN, b"d\x80", b"\xfd")]
    assert (await call(world, "delete-async", relpaths=told, recursive=True)).status == 202
    await world.settled(lambda: world.events("files.purged"))
    assert names(world) == {NOTHING, "é".encode()}
    (event,) = world.events("file.deleted")
    assert event.body["paths"] == told[:2]


async def test_they_are_renamed(world: World) -> None:
    korean = sendable(os.fsdecode(KOREAN))
    assert (await call(world, "rename", relpath=korean, new_name="한글.txt")).status == 204
    assert (await call(world, "rename", relpath="é", new_name="\U0010ffe9")).status == 204
    assert names(world) == {"한글.txt".encode(), b"\xe9", NOTHING, b"d\x80"}
    moved = [(event.body["source"], event.body["destination"]) for event in world.events("file.moved")]
    assert moved == [(korean, "한글.txt"), ("é", "\U0010ffe9")]


async def test_they_are_moved(world: World) -> None:
    korean, nothing = sendable(os.fsdecode(KOREAN)), sendable(os.fsdecode(NOTHING))
    assert (await call(world, "move", src_relpath=korean, dst_relpath="d\U0010ff80")).status == 204
    assert (await call(world, "move", src_relpath=nothing, dst_relpath="d\U0010ff80/plain")).status == 204
    assert (await call(world, "move", src_relpath="d\U0010ff80/x", dst_relpath=".")).status == 204
    assert await listed(world, "d\U0010ff80") == {korean, "plain"}
    assert names(world) == {"é".encode(), b"d\x80", b"x"}
    again = await call(world, "move", src_relpath=nothing, dst_relpath="y")
    assert (again.status, again.json["paths"]) == (400, [nothing])


async def test_directories_are_made_in_them(world: World) -> None:
    made = await call(world, "mkdir", relpath="d\U0010ff80/\U0010ff81")
    assert made.json["results"]["success"] == [{"msg": None, "item": "d\U0010ff80/\U0010ff81"}]
    assert b"\x81" in os.listdir(os.fsencode(world.folder) + b"/d\x80")
    (event,) = world.events("directory.created")
    assert event.body["paths"] == ["d\U0010ff80/\U0010ff81"]


async def test_one_is_verified(world: World) -> None:
    answer = await call(world, "verify", relpath=sendable(os.fsdecode(KOREAN)))
    assert (answer.status, answer.json["integrity"]) == (200, "unknown")


async def test_a_lone_surrogate_is_no_name(world: World) -> None:
    for operation, body in (
        ("list", {"relpath": "d\udc80"}),
        ("fetch", {"relpath": "\udcff\udcfe"}),
        ("rename", {"relpath": "\udcff\udcfe", "new_name": "x"}),
        ("delete", {"relpaths": ["\udcff\udcfe"]}),
    ):
        assert (await call(world, operation, **body)).status == 400, operation


async def test_where_links_lead_is_told_in_text_that_can_be_sent(world: World) -> None:
    os.symlink(KOREAN, os.fsencode(world.folder) + b"/link\xfc")
    answer = await call(world, "list", relpath=".")
    (link,) = [item for item in answer.json["items"] if item["type"] == "SYMLINK"]
    assert (link["name"], link["symlink_target"]) == ("link\U0010fffc", sendable(os.fsdecode(KOREAN)))
