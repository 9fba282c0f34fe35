"""Uploads are complete when their client says so and all they are to have is there, whatever their offset."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import anyio
import pytest
from harness.bodies import pieces
from harness.line import Line
from harness.tus import Collection
from harness.world import FOLDER, World, digest
from integration.gateway.resumable_client import (
    MOST,
    PARTIAL,
    RESUMABLE,
    append,
    begin,
    begun,
    digests_of,
    look,
    place,
    problem,
)

from domain.errors import BackendUnavailableError
from gateway.uploads.finishing import Finisher
from gateway.uploads.session import UploadSession
from gateway.uploads.uploads import Uploads

pytestmark = [pytest.mark.anyio, pytest.mark.folder, RESUMABLE]

LARGE = os.urandom(2_000_000)


def is_nothing_there(world: World) -> bool:
    """Whether no file was made, and none told of."""
    names = {path.name for path in world.folder.iterdir()} - {".upload"}
    return not names and not world.events("file.uploaded")


# [R3]
@pytest.mark.parametrize("data", [b"1234567", LARGE], ids=["small", "large"])
@pytest.mark.parametrize("how", ["announced", "chunked", "at once"])
async def test_the_last_byte_ends_nothing(world: World, files: Collection, data: bytes, how: str) -> None:
    told = {"Upload_Length": str(len(data))}
    if how == "at once":
        url = await begun(files, data, **told)
    else:
        url = await begun(files, data[:3], **told)
        rest: Any = pieces(data[3:5], data[5:]) if how == "chunked" else data[3:]
        assert place(await append(files, url, 3, "?0", rest)) == (204, str(len(data)), "?0")
    for method in ("HEAD", "GET", "HEAD"):
        answer = await files.ask(method, url, {})
        assert place(answer) == (204, str(len(data)), "?0")
        assert answer.headers["Upload-Length"] == str(len(data))
    assert is_nothing_there(world)
    assert place(await append(files, url, len(data), "?0")) == (204, str(len(data)), "?0")
    assert is_nothing_there(world)
    assert place(await append(files, url, len(data), "?1")) == (200, str(len(data)), "?1")
    assert digest((world.folder / "a").read_bytes()) == digest(data)
    assert place(await look(files, url)) == (204, str(len(data)), "?1")
    assert len(world.events("file.uploaded")) == 1


async def test_an_upload_of_no_bytes_waits_for_its_end_as_well(world: World, files: Collection) -> None:
    url = await begun(files, Upload_Length="0")
    assert place(await look(files, url)) == (204, "0", "?0")
    assert is_nothing_there(world)
    assert place(await append(files, url, 0, "?1")) == (200, "0", "?1")
    assert (world.folder / "a").read_bytes() == b""
    assert (await begin(files, b"", "?1", name="b")).status == 200
    assert (world.folder / "b").read_bytes() == b""


async def test_an_end_of_which_the_length_was_not_told(world: World, files: Collection) -> None:
    url = await begun(files, b"abc")
    assert "Upload-Length" not in (await look(files, url)).headers
    assert place(await append(files, url, 3, "?0", b"def")) == (204, "6", "?0")
    answer = await append(files, url, 6, "?1", pieces(b"g", b"h"))
    assert place(answer) == (200, "8", "?1")
    assert answer.headers["Upload-Length"] == "8"
    assert (world.folder / "a").read_bytes() == b"abcdefgh"


async def test_another_gateway_knows_that_the_end_was_seen(
    world: World, files: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client was not answered, because making a file of it failed; whoever asks next makes it."""
    url = await begun(files, b"abc", Upload_Length="5")

    async def away(*_: object, **__: object) -> None:
        raise BackendUnavailableError("it is away")

    with monkeypatch.context() as patch:
        patch.setattr(Finisher, "finish", away)
        assert (await append(files, url, 3, "?1", b"de")).status == 503
    await world.let_go(url)
    assert is_nothing_there(world)
    assert place(await look(files, url)) == (204, "5", "?1")
    assert (world.folder / "a").read_bytes() == b"abcde"


@pytest.mark.parametrize("data", [b"abcde", LARGE], ids=["small", "large"])
@pytest.mark.parametrize("compared", [False, True], ids=["", "compared"])
async def test_an_end_that_was_announced_is_remembered_with_the_last_byte(
    world: World, files: Collection, monkeypatch: pytest.MonkeyPatch, data: bytes, compared: bool
) -> None:
    """Nothing could be recorded after it. Some clients see all bytes there, and never say `?1` again."""
    url = await begun(files, data[:3], Upload_Length=str(len(data)))
    fields = {"Content_Digest": digests_of(data[3:], "sha-256")} if compared else {}

    async def away(*_: object, **__: object) -> None:
        raise BackendUnavailableError("it is away")

    with monkeypatch.context() as patch:
        patch.setattr(Uploads, "end", away)
        assert (await append(files, url, 3, "?1", data[3:], **fields)).status == 503
    await world.let_go(url)
    assert place(await look(files, url)) == (204, str(len(data)), "?1")
    assert (world.folder / "a").read_bytes() == data


async def test_an_end_that_was_announced_and_cut_is_none_for_what_comes_instead(
    world: World, files: Collection
) -> None:
    url = await begun(files, b"ab", Upload_Length="6")
    staged = world.folder / ".upload" / url.rpartition("/")[2]
    fields = {"Content-Length": "4", "Upload-Offset": "2", "Upload-Complete": "?1", **PARTIAL}
    async with Line.open(world) as line:
        line.head("PATCH", url, {"Authorization": f"Bearer {files.token}", **fields})
        line.send(b"cd")
        while staged.stat().st_size < 4:
            await anyio.sleep(0.01)
    assert place(await look(files, url)) == (204, "4", "?0")
    assert place(await append(files, url, 4, "?0", b"ef")) == (204, "6", "?0")
    await world.let_go(url)
    assert place(await look(files, url)) == (204, "6", "?0")
    assert is_nothing_there(world)
    assert place(await append(files, url, 6, "?1")) == (200, "6", "?1")
    assert (world.folder / "a").read_bytes() == b"abcdef"


def test_what_is_new_in_a_record_is_nothing_to_other_releases() -> None:
    document = {"id": "0" * 32, "volume": "disk", "folder": FOLDER, "destination": "a", "length": 3}
    old = UploadSession.parse({**document, "expires": 5.0, "state": "open"})
    assert not old.ended
    assert old.announced_sha512 == ""
    new = replace(old, ended=True, announced_sha512="00")
    assert {"ended", "announced_sha512"} == set(new.document()) - set(old.document())
    assert UploadSession.parse(new.document()) == new
    assert UploadSession.parse({**new.document(), "later": 1}) == new


# --- lengths --------------------------------------------------------------------------------------


# [R5]
@pytest.mark.parametrize("creating", [True, False])
async def test_an_end_before_the_length(world: World, files: Collection, creating: bool) -> None:
    """Two bytes where seven are due."""
    if creating:
        answer = await begin(files, pieces(b"1", b"2"), "?1", Upload_Length="7")
        assert problem(answer) == (400, "inconsistent-upload-length")
        assert answer.headers["Upload-Complete"] == "?0"
        assert "Location" not in answer.headers
        assert is_nothing_there(world)
        return
    url = await begun(files, b"123", Upload_Length="10")
    short = await append(files, url, 3, "?1", b"45")
    assert problem(short) == (400, "inconsistent-upload-length")
    assert place(await look(files, url)) == (204, "3", "?0"), "the head alone told it: nothing is stored"
    short = await append(files, url, 3, "?1", pieces(b"4", b"5"))
    assert problem(short) == (400, "inconsistent-upload-length")
    assert (short.headers["Upload-Complete"], short.headers["Upload-Offset"]) == ("?0", "5")
    assert place(await look(files, url)) == (204, "5", "?0"), "what arrived stays"
    assert is_nothing_there(world)
    assert (await append(files, url, 5, "?1")).status == 400
    assert (await append(files, url, 5, "?1", b"67890")).status == 200
    assert (world.folder / "a").read_bytes() == b"1234567890"


EXCESS: list[Callable[[bytes], Any]] = [lambda data: data, lambda data: pieces(data[:2], data[2:])]


# [R5]
@pytest.mark.parametrize("body", EXCESS, ids=["announced", "chunked"])
@pytest.mark.parametrize("complete", ["?0", "?1"])
@pytest.mark.parametrize("before", [3, 7])
async def test_more_bytes_than_the_length_are_the_end_of_the_upload(
    world: World, files: Collection, body: Callable[[bytes], Any], complete: str, before: int
) -> None:
    url = await begun(files, b"1234567"[:before], Upload_Length="7")
    answer = await append(files, url, before, complete, body(b"4567890"))
    assert problem(answer) == (400, "inconsistent-upload-length")
    assert answer.headers["Upload-Complete"] == "?0"
    assert "Upload-Offset" not in answer.headers
    assert (await look(files, url)).status == 410
    assert (await append(files, url, 7, "?1")).status == 410
    assert list(world.folder.iterdir()) == []
    assert world.events("file.uploaded") == []


# [R5]
async def test_a_creation_with_more_bytes_than_it_has_told_begins_nothing(world: World, files: Collection) -> None:
    for complete in ("?0", "?1"):
        for data in (b"12345678", pieces(b"1234", b"5678")):
            answer = await begin(files, data, complete, Upload_Length="7")
            assert problem(answer) == (400, "inconsistent-upload-length")
            assert list(world.folder.iterdir()) == []
    assert not [name for name in world.store.records if name.startswith("upload:")]


# [R5]
async def test_lengths_that_contradict_each_other(files: Collection) -> None:
    url = await begun(files, b"abc", Upload_Length="10")
    for fields, complete, data in (
        ({"Upload_Length": "11"}, "?0", b"x"),
        ({"Upload_Length": "9"}, "?0", b"x"),
        ({"Upload_Length": "2"}, "?0", b""),
        ({"Upload_Length": "10"}, "?1", b"x"),
    ):
        answer = await append(files, url, 3, complete, data, **fields)
        assert problem(answer) == (400, "inconsistent-upload-length")
        assert answer.headers["Upload-Complete"] == "?0"
        assert place(await look(files, url)) == (204, "3", "?0")
    assert (await append(files, url, 3, "?0", b"d", Upload_Length="10")).status == 204
    deferred = await begun(files, b"abc")
    assert problem(await append(files, deferred, 3, "?0", b"", Upload_Length="2"))[0] == 400
    assert problem(await append(files, deferred, 3, "?0", b"defg", Upload_Length="5"))[0] == 400
    assert place(await append(files, deferred, 3, "?0", b"d", Upload_Length="5")) == (204, "4", "?0")


async def test_more_than_any_upload_may_have(files: Collection) -> None:
    answers = [
        await begin(files, b"", "?0", Upload_Length=str(MOST + 1)),
        await begin(files, bytes(MOST + 1), "?1"),
        await begin(files, pieces(bytes(MOST), b"1"), "?1"),
    ]
    url = await begun(files, b"abc")
    answers += [
        await append(files, url, 3, "?0", b"", Upload_Length=str(MOST + 1)),
        await append(files, url, 3, "?1", bytes(MOST - 2)),
        await append(files, url, 3, "?0", pieces(bytes(MOST), b"1")),
    ]
    for answer in answers:
        assert answer.status == 413
        assert answer.headers["Upload-Limit"] == f"max-size={MOST}, min-size=0"


# --- asked again ----------------------------------------------------------------------------------


# [R7]
@pytest.mark.parametrize("chunked", [False, True])
async def test_a_last_append_whose_answer_was_lost(world: World, files: Collection, chunked: bool) -> None:
    url = await begun(files, b"abc")
    first = await append(files, url, 3, "?1", b"def")
    again = await append(files, url, 3, "?1", pieces(b"d", b"ef") if chunked else b"def")
    retrieved = await append(files, url, 6, "?1", pieces() if chunked else b"")
    for answer in (first, again, retrieved):
        assert place(answer) == (200, "6", "?1")
        assert answer.headers["Upload-Length"] == "6"
    assert (world.folder / "a").read_bytes() == b"abcdef"
    assert len(world.events("file.uploaded")) == 1


# [R7]
async def test_a_sender_that_waits_is_not_asked_for_what_is_there(world: World, files: Collection) -> None:
    url = await begun(files, b"abc")
    assert (await append(files, url, 3, "?1", b"def")).status == 200
    head = {"Upload-Offset": "3", "Upload-Complete": "?1", "Content-Length": "3", "Expect": "100-continue"}
    head["Content-Digest"] = "sha-256=:ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=:"
    async with Line.open(world) as line:
        line.head("PATCH", url, {**PARTIAL, "Authorization": f"Bearer {files.token}", **head})
        assert place(await line.answer()) == (200, "6", "?1")


async def test_a_last_append_that_comes_once_more_with_another_length(files: Collection) -> None:
    url = await begun(files, b"abc")
    assert (await append(files, url, 3, "?1", b"def")).status == 200
    for offset, data in ((3, b"def"), (6, b"")):
        wrong = await append(files, url, offset, "?1", data, Upload_Length="999")
        assert problem(wrong) == (400, "inconsistent-upload-length")
        assert place(await append(files, url, offset, "?1", data, Upload_Length="6")) == (200, "6", "?1")


# [R7]
async def test_what_is_complete_takes_nothing_more(world: World, files: Collection) -> None:
    url = await begun(files, b"abc")
    assert (await append(files, url, 3, "?1", b"def")).status == 200
    for complete, offset, data, expected in (
        ("?0", 6, b"", (400, "completed-upload")),
        ("?0", 6, b"g", (400, "inconsistent-upload-length")),
        ("?1", 6, b"g", (400, "inconsistent-upload-length")),
        ("?1", 6, pieces(b"g"), (400, "inconsistent-upload-length")),
        ("?1", 3, b"de", (409, "mismatching-upload-offset")),
        ("?1", 3, pieces(b"d"), (409, "mismatching-upload-offset")),
        ("?1", 3, pieces(b"d", b"efg"), (409, "mismatching-upload-offset")),
        ("?0", 3, b"def", (409, "mismatching-upload-offset")),
        ("?1", 9, b"", (409, "mismatching-upload-offset")),
    ):
        answer = await append(files, url, offset, complete, data)
        assert problem(answer) == expected
        assert answer.headers["Upload-Complete"] == "?0", "this is not the answer of what was uploaded to"
        if answer.status == 409:
            assert answer.headers["Upload-Offset"] == "6"
    assert place(await look(files, url)) == (204, "6", "?1")
    assert (world.folder / "a").read_bytes() == b"abcdef"


# [R7]
async def test_what_cannot_become_a_file_is_told_as_the_end(world: World, files: Collection) -> None:
    """All was sent, and a directory is in the way: sending it again would change nothing."""
    (world.folder / "a").mkdir()
    url = await begun(files, b"abc", Upload_Length="5")
    assert place(await append(files, url, 3, "?0", b"de")) == (204, "5", "?0"), "what is in the way may go"
    for _ in range(2):
        answer = await append(files, url, 5, "?1")
        assert answer.status == 400
        assert answer.json["errno"]
        assert answer.headers["Upload-Complete"] == "?1"
        seen = await look(files, url)
        assert (seen.status, seen.headers["Upload-Complete"]) == (400, "?1")
    at_once = await begin(files, b"abcde", "?1")
    assert (at_once.status, at_once.headers["Upload-Complete"]) == (400, "?1")
    (world.folder / "a").rmdir()
    assert place(await append(files, url, 5, "?1")) == (200, "5", "?1")
    assert (world.folder / "a").read_bytes() == b"abcde"
