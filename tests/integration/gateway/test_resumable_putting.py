"""Tokens that name one upload: POST and PUT send its file, and may be sent again."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from harness.bodies import pieces
from harness.line import Line
from harness.tus import Collection
from harness.uploads import session_of
from harness.world import World
from integration.gateway.resumable_client import RESUMABLE, append, begin, look, opened, place, problem

pytestmark = [pytest.mark.anyio, pytest.mark.folder, RESUMABLE]

METHODS = pytest.mark.parametrize("method", ["POST", "PUT"])
LARGE = os.urandom(300_000)


async def one(world: World, size: int = 3) -> Collection:
    return Collection(world, await world.upload_token("one", size))


# [R1]
@METHODS
@pytest.mark.parametrize("version", ["8", "9"])
async def test_a_file_is_put(world: World, method: str, version: str) -> None:
    token = (await one(world, len(LARGE))).token
    head = {"Upload-Complete": "?1", "Content-Length": str(len(LARGE)), "Upload-Draft-Interop-Version": version}
    async with Line.open(world) as line:
        line.head(method, f"/uploads?token={token}", head)
        interim = await line.answer()
        assert (interim.status, interim.headers["Upload-Draft-Interop-Version"]) == (104, version)
        assert interim.headers["Location"].endswith(f"?token={token}")
        assert interim.headers["Upload-Limit"].startswith("max-size=")
        line.send(LARGE)
        final = await line.answer()
        assert place(final) == (200, str(len(LARGE)), "?1")
        assert final.headers["Location"] == interim.headers["Location"]
    assert (world.folder / "one").read_bytes() == LARGE


@METHODS
async def test_a_file_is_put_in_parts(world: World, method: str) -> None:
    files = await one(world, 6)
    answer = await begin(files, b"abc", "?0", method, name=None)
    assert place(answer) == (201, "3", "?0")
    assert answer.headers["Upload-Length"] == "6", "the token says it"
    url = "/" + answer.headers["Location"]
    assert place(await append(files, url, 3, "?1", b"def")) == (200, "6", "?1")
    assert (world.folder / "one").read_bytes() == b"abcdef"


async def test_a_part_is_put_nowhere_by_content_range(world: World) -> None:
    """RFC 9110 section 14.5; `curl -T FILE -C OFFSET` sends it, and it would be stored as the file's begin."""
    files = await one(world, 6)
    for complete in ("?0", "?1"):
        answer = await begin(files, b"def", complete, "PUT", name=None, Content_Range="bytes 3-5/6")
        assert (answer.status, list(answer.json["data"])) == (400, ["Content-Range"])
        assert place(await look(files, f"/uploads/{session_of(files.token)}")) == (204, "0", "?0")
    assert (await begin(files, b"abcdef", "?1", "PUT", name=None)).status == 200


@METHODS
async def test_what_came_of_it_before_a_cut_is_kept(world: World, method: str) -> None:
    """Who has the token knows where to come back, also where no interim answer told."""
    files = await one(world, len(LARGE))
    async with Line.open(world) as line:
        head = {"Upload-Complete": "?1", "Content-Length": str(len(LARGE))}
        line.head(method, f"/uploads?token={files.token}", head)
        line.send(LARGE[:1000])
        await world.stored(1000)
    url = f"/uploads/{session_of(files.token)}"
    assert place(await look(files, url)) == (204, "1000", "?0")
    assert place(await append(files, url, 1000, "?1", LARGE[1000:])) == (200, str(len(LARGE)), "?1")
    assert (world.folder / "one").read_bytes() == LARGE


# [R5]
@METHODS
async def test_another_length_than_the_tokens(world: World, method: str) -> None:
    files = await one(world)
    for data, complete, fields in (
        (b"abcd", "?1", {}),
        (b"abcd", "?0", {}),
        (b"ab", "?1", {}),
        (b"", "?0", {"Upload_Length": "4"}),
    ):
        answer = await begin(files, data, complete, method, name=None, **fields)
        assert problem(answer) == (400, "inconsistent-upload-length")
    assert (await begin(files, b"abc", "?1", method, name=None)).status == 200
    assert (world.folder / "one").read_bytes() == b"abc"


@METHODS
async def test_it_is_sent_again_because_the_answer_was_lost(world: World, method: str) -> None:
    files = await one(world)
    for data in (b"abc", b"abc", pieces(b"ab", b"c")):
        assert place(await begin(files, data, "?1", method, name=None)) == (200, "3", "?1")
    assert place(await begin(files, b"", "?0", method, name=None))[1:] == ("3", "?1")
    assert len(world.events("file.uploaded")) == 1
    for data in (b"abd", pieces(b"ab", b"d")):
        other = await begin(files, data, "?1", method, name=None)
        assert problem(other) == (400, "completed-upload")
    short = await begin(files, pieces(b"ab"), "?1", method, name=None)
    assert problem(short) == (400, "inconsistent-upload-length")
    assert problem(await begin(files, b"ab", "?0", method, name=None)) == (409, "mismatching-upload-offset")
    assert (world.folder / "one").read_bytes() == b"abc"


async def test_what_cannot_be_compared_is_not_taken_for_the_same(tmp_path: Path) -> None:
    async with opened(tmp_path, upload_digests=False) as world:
        files = await one(world)
        assert (await begin(files, b"abc", "?1", name=None)).status == 200
        assert problem(await begin(files, b"abc", "?1", name=None)) == (400, "completed-upload")


@METHODS
async def test_some_of_it_is_there_already(world: World, method: str) -> None:
    """Its bytes are not sent for nothing: the client is told where it can go on."""
    files = await one(world)
    url = "/" + (await begin(files, b"a", "?0", method, name=None)).headers["Location"]
    again = await begin(files, b"abc", "?1", method, name=None)
    assert problem(again) == (409, "mismatching-upload-offset")
    assert (again.headers["Upload-Offset"], again.headers["Upload-Complete"]) == ("1", "?0")
    assert again.headers["Location"] == url[1:]
    assert place(await begin(files, b"", "?0", method, name=None)) == (201, "1", "?0")
    assert place(await append(files, url, 1, "?1", b"bc")) == (200, "3", "?1")
    assert (world.folder / "one").read_bytes() == b"abc"


@METHODS
async def test_an_empty_file_is_there_before_it_is_put(world: World, method: str) -> None:
    files = await one(world, 0)
    answer = await begin(files, b"", "?1", method, name=None)
    assert place(answer) == (200, "0", "?1")
    assert place(await look(files, "/" + answer.headers["Location"])) == (204, "0", "?1")
    assert (world.folder / "one").read_bytes() == b""


async def test_a_token_for_many_names_nothing_that_could_be_put(world: World) -> None:
    answer = await begin(await Collection.open(world), b"abc", "?1", "PUT")
    assert answer.status == 405
    assert set(answer.headers["Allow"].split(",")) == {"POST", "OPTIONS"}
    assert list(world.folder.iterdir()) == []


async def test_below_the_collection_are_uploads_and_no_files(world: World) -> None:
    files = await one(world)
    url = "/" + (await begin(files, b"a", "?0", name=None)).headers["Location"]
    for path in (url, "/uploads/name"):
        assert (await files.ask("PUT", path, {"Upload-Complete": "?1"}, b"abc")).status == 405
