"""Resumable uploads as the IETF drafts them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from harness.bodies import pieces
from harness.line import Line
from harness.tus import Collection
from harness.world import World, digest, open_world
from integration.gateway.resumable_client import (
    MOST,
    PARTIAL,
    RESUMABLE,
    append,
    begin,
    begun,
    look,
    place,
    problem,
)

pytestmark = [pytest.mark.anyio, pytest.mark.folder, RESUMABLE]


def creation(files: Collection, size: int, **fields: str) -> dict[str, str]:
    """The head of a request that brings a whole file."""
    named = {"Content-Disposition": "inline; filename=a", "Upload-Complete": "?1", "Content-Length": str(size)}
    return {**named, "Authorization": f"Bearer {files.token}", **fields}


# [R1]
@pytest.mark.parametrize("version", ["8", "9", "8;draft", " 9"])
@pytest.mark.parametrize("complete", ["?1", "?0"])
async def test_where_to_come_back_is_told_at_once(
    world: World, files: Collection, version: str, complete: str
) -> None:
    """In the client's version, before a byte of the body is there."""
    fields = {"Upload-Draft-Interop-Version": version, "Upload-Complete": complete}
    async with Line.open(world) as line:
        line.head("POST", "/uploads", creation(files, 5, **fields))
        interim = await line.answer()
        assert interim.status == 104
        assert interim.headers["Upload-Draft-Interop-Version"] == version.strip()[0]
        assert interim.headers["Location"].startswith("uploads/")
        assert interim.headers["Upload-Limit"].startswith(f"max-size={MOST}, min-size=0, max-age=")
        line.send(b"12345")
        final = await line.answer()
    assert place(final) == (200 if complete == "?1" else 201, "5", complete)
    assert final.headers["Location"] == interim.headers["Location"]
    assert place(await look(files, "/" + interim.headers["Location"])) == (204, "5", complete)
    assert (world.folder / "a").exists() == (complete == "?1")


# [R1]
@pytest.mark.parametrize("version", ["7", "6", "10", "08.0", "8, 9", "?1", "eight", "", None])
async def test_other_versions_of_the_draft_are_told_nothing_on_the_way(
    world: World, files: Collection, version: str | None
) -> None:
    fields = {} if version is None else {"Upload-Draft-Interop-Version": version}
    async with Line.open(world) as line:
        line.head("POST", "/uploads", creation(files, 5, **fields))
        line.send(b"12345")
        assert place(await line.answer()) == (200, "5", "?1")
    assert (world.folder / "a").read_bytes() == b"12345"


# [R1]
async def test_a_sender_that_waits_is_asked_for_its_body_as_well(world: World, files: Collection) -> None:
    fields = {"Upload-Draft-Interop-Version": "8", "Expect": "100-continue"}
    async with Line.open(world) as line:
        line.head("POST", "/uploads", creation(files, 5, **fields))
        assert [(await line.answer()).status for _ in range(2)] == [104, 100]
        line.send(b"12345")
        assert (await line.answer()).status == 200


# [R2] [R3] [R7]
async def test_an_upload_in_parts(world: World, files: Collection) -> None:
    data = os.urandom(3_000_000)
    answer = await begin(files, data[:1000], "?0", Upload_Length=str(len(data)))
    assert place(answer) == (201, "1000", "?0")
    assert answer.headers["Upload-Limit"].startswith(f"max-size={MOST}, min-size=0")
    url = "/" + answer.headers["Location"]
    for method in ("HEAD", "GET"):
        seen = await files.ask(method, url, {})
        assert place(seen) == (204, "1000", "?0")
        assert seen.body == b""
        assert seen.headers["Cache-Control"] == "no-store"
        assert seen.headers["Upload-Length"] == str(len(data))
        assert "max-age=" in seen.headers["Upload-Limit"]
    parts = [data[start : min(start + 99_000, 2_000_000)] for start in range(1000, 2_000_000, 99_000)]
    assert place(await append(files, url, 1000, "?0", pieces(*parts))) == (204, "2000000", "?0")
    assert place(await append(files, url, 2_000_000, "?1", data[2_000_000:])) == (200, str(len(data)), "?1")
    assert digest((world.folder / "a").read_bytes()) == digest(data)
    assert len(world.events("file.uploaded")) == 1


# [R2]
async def test_an_upload_that_begins_with_nothing(world: World, files: Collection) -> None:
    """Its client does not hear interim answers: so it learns where to send its file before it does."""
    answer = await begin(files, b"", "?0", Upload_Length="6")
    assert place(answer) == (201, "0", "?0")
    url = "/" + answer.headers["Location"]
    assert place(await append(files, url, 0, "?1", b"abcdef")) == (200, "6", "?1")
    assert (world.folder / "a").read_bytes() == b"abcdef"


async def test_a_body_whose_end_is_the_files(world: World, files: Collection) -> None:
    answer = await begin(files, pieces(b"abc", b"def"), "?1", name="b")
    assert place(answer) == (200, "6", "?1")
    assert answer.headers["Upload-Length"] == "6"
    assert (world.folder / "b").read_bytes() == b"abcdef"


# [R4]
async def test_an_append_elsewhere(files: Collection) -> None:
    url = await begun(files, b"abc")
    for offset in (0, 1, 4, 999_999_999_999_999):
        answer = await append(files, url, offset, "?1", b"x")
        assert problem(answer) == (409, "mismatching-upload-offset")
        assert (answer.json["expected-offset"], answer.json["provided-offset"]) == (3, offset)
        assert (answer.headers["Upload-Offset"], answer.headers["Upload-Complete"]) == ("3", "?0")
    assert place(await look(files, url)) == (204, "3", "?0")


# [R6]
async def test_an_append_that_is_none(files: Collection) -> None:
    url = await begun(files, b"abc")
    for head, status in (
        ({"Upload-Complete": "?0", "Upload-Offset": "3"}, 415),
        ({**PARTIAL, "Upload-Offset": "3"}, 400),
        ({**PARTIAL, "Upload-Complete": "?0"}, 400),
    ):
        assert (await files.ask("PATCH", url, head, b"x")).status == status
    assert place(await look(files, url)) == (204, "3", "?0")


# [R8]
async def test_limits(world: World) -> None:
    options = await world.client("OPTIONS", "/uploads")
    assert options.headers["Upload-Limit"] == f"max-size={MOST}, min-size=0"
    assert options.headers["Accept-Patch"] == PARTIAL["Content-Type"]


# [R9]
async def test_an_upload_is_dropped(world: World, files: Collection) -> None:
    url = await begun(files, b"abc")
    assert (await files.ask("DELETE", url, {})).status == 204
    assert (await look(files, url)).status == 410
    assert (await append(files, url, 3, "?1", b"x")).status == 410
    assert list(world.folder.iterdir()) == []


async def test_it_is_not_there_unless_it_is_switched_on(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.make_folder()
        files = await Collection.open(world)
        for method in ("POST", "PUT"):
            assert (await begin(files, b"abc", "?1", method)).status == 404
