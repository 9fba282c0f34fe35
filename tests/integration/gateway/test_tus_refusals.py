"""What is refused leaves nothing behind, and does not have the next request of its connection taken for a body."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from harness.bodies import pieces
from harness.fields import BODY, TUS, metadata
from harness.line import Line
from harness.tus import Collection
from harness.world import FOLDER, World, open_world

from domain.errors import BackendUnavailableError
from gateway.uploads.finishing import Finisher

pytestmark = pytest.mark.anyio

LARGE = os.urandom(300_000)
WRONG = "sha1 " + base64.b64encode(hashlib.sha1(b"other bytes").digest()).decode()


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path, max_upload_bytes=1 << 20) as opened:
        await opened.make_folder()
        limit = {"volume": "disk", "vfid": FOLDER, "options": {"limit_bytes": 1 << 30}}
        assert (await opened.manager("PUT", "/folder/quota", limit)).status == 204
        yield opened


def left(world: World) -> list[object]:
    """Everything there is of uploads: records, bytes, what is counted."""
    records = [name for name in world.store.records if name.startswith("upload:")]
    counted = [
        member for index, found in world.store.view.indexes.items() if ":uploads" in index for member in found
    ]
    return [*records, *counted, *world.folder.iterdir()]


# --- nothing is left ------------------------------------------------------------------------------

HEADS: list[tuple[dict[str, str], int]] = [
    ({"Content-Type": "text/plain"}, 415),
    ({"Content-Type": ""}, 415),
    ({"Upload-Length": "2"}, 413),
    ({"Upload-Length": "9999999999"}, 413),
    ({"Upload-Checksum": "sha3 YQ=="}, 400),
    ({"Upload-Checksum": "sha1 ###"}, 400),
    ({"Upload-Checksum": ""}, 400),
    ({"Upload-Metadata": metadata(filename="a", extract="perhaps")}, 400),
    ({"Tus-Resumable": "0.2.2"}, 412),
    ({"Upload-Checksum": WRONG}, 460),
    ({"Upload-Metadata": metadata(filename="a", sha256="0" * 64)}, 460),
]


# [B10] [B12]
@pytest.mark.parametrize(("fields", "status"), HEADS)
@pytest.mark.parametrize("data", [b"abcdef", LARGE])
async def test_a_creation_that_is_refused_leaves_nothing(
    world: World, files: Collection, fields: dict[str, str], status: int, data: bytes
) -> None:
    usual = {**BODY, "Upload-Length": str(len(data)), "Upload-Metadata": metadata(filename="a")}
    answer = await files.ask("POST", "/files", {**usual, **fields}, data)
    assert (answer.status, "Location" in answer.headers) == (status, False)
    assert left(world) == []
    part = {**usual, "Upload-Concat": "partial", **fields}
    answer = await files.ask("POST", "/files", part, data)
    if answer.status == 201:  # the digest of a part's file is nobody's business
        assert "sha256" in fields["Upload-Metadata"] or "extract" in fields["Upload-Metadata"] or status == 460
        return
    assert left(world) == []


# [B10]
async def test_a_part_of_a_body_that_is_not_what_was_announced(world: World, files: Collection) -> None:
    for length in ("10", None):
        headers = {"Upload_Checksum": WRONG, **({"Upload_Defer_Length": "1"} if length is None else {})}
        assert (await files.create(length, "a", b"abc", **headers)).status == 460
        assert left(world) == []


# [A10] [B10]
@pytest.mark.parametrize("length", ["3", "0", "100000"])
async def test_more_bytes_than_announced_in_a_creation(world: World, files: Collection, length: str) -> None:
    for data in (pieces(b"x" * int(length), b"y"), b"x" * int(length) + b"y"):
        answer = await files.ask(
            "POST", "/files", {**BODY, "Upload-Length": length, "Upload-Metadata": metadata(filename="a")}, data
        )
        assert answer.status == 413
        assert left(world) == []


# [B10]
async def test_an_empty_body_of_an_empty_upload(world: World, files: Collection) -> None:
    headers = {**BODY, "Upload-Length": "0", "Upload-Metadata": metadata(filename="a")}
    assert (await files.ask("POST", "/files", headers, pieces())).status == 201
    assert (world.folder / "a").read_bytes() == b""


# [B10]
@pytest.mark.parametrize("sent", [0, 100_000])
@pytest.mark.parametrize("size", [1000, len(LARGE)])
async def test_a_creation_that_breaks_off_leaves_nothing(
    world: World, files: Collection, size: int, sent: int
) -> None:
    """Its client was told no Location, so it cannot come back to what there is of it."""
    fields = {**BODY, "Upload-Length": str(size), "Upload-Metadata": metadata(filename="a")}
    async with Line.open(world) as line:
        line.head(
            "POST", "/files", {**fields, "Authorization": f"Bearer {files.token}", "Content-Length": str(size)}
        )
        line.send(LARGE[: min(sent, size - 1)])
        await anyio.sleep(0.2)
    await world.settled(lambda: left(world) == [])
    assert (await files.create(3, "a", b"abc")).status == 201


# [B10]
async def test_a_directory_in_the_way_of_a_creation(world: World, files: Collection) -> None:
    (world.folder / "a").mkdir()
    for data in (b"abc", LARGE, b""):
        assert (await files.create(len(data), "a", data or None)).status == 400
        (world.folder / "a").rmdir()
        assert left(world) == []
        (world.folder / "a").mkdir()


# [B10]
async def test_a_storage_that_fails_in_a_creation(
    world: World, files: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> None:
        raise BackendUnavailableError("away")

    with monkeypatch.context() as patch:
        patch.setattr("backends.mounted.appending.MountedStaging.receive", away)
        patch.setattr("backends.mounted.appending.MountedStaging.append", away)
        assert (await files.create(len(LARGE), "a", LARGE)).status == 503
    assert left(world) == []


async def test_what_was_renamed_already_is_not_taken_back(
    world: World, files: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is there, so it is told of, whatever its client was told."""

    async def failing(*_: object) -> None:
        raise BackendUnavailableError("away")

    with monkeypatch.context() as patch:
        patch.setattr(Finisher, "_commit", failing)
        assert (await files.create(len(LARGE), "a", LARGE)).status == 503
    assert (world.folder / "a").read_bytes() == LARGE
    assert world.events("file.uploaded") == []
    for record in world.store.records.values():
        record.due = 0.0 if record.due is not None else None
    await world.gate.uploads.sweep(10)
    assert len(world.events("file.uploaded")) == 1


async def test_the_upload_of_a_token_stays_whatever_is_refused(world: World) -> None:
    """Its client knows where it is."""
    token = await world.upload_token("t", 6)
    one = Collection(world, token)
    assert (await one.create(6, None, b"abcdef", Upload_Checksum=WRONG)).status == 460
    assert (await one.create(6, None, b"abcdef", Content_Type="text/plain")).status == 415
    answer = await one.create(6, None, b"abc")
    assert (answer.status, answer.headers["Upload-Offset"]) == (201, "3")


# --- the connection ends --------------------------------------------------------------------------


def next_request(line: Line, url: str, token: str) -> None:
    line.head("HEAD", url, {**TUS, "Authorization": f"Bearer {token}"})


# [A10]
@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest.mark.parametrize("size", [11, 500_000])
async def test_more_bytes_than_announced_end_the_connection(
    world: World, files: Collection, framing: str, size: int
) -> None:
    url, data = await files.begin(10), os.urandom(size)
    fields = {**BODY, "Authorization": f"Bearer {files.token}", "Upload-Offset": "0"}
    fields |= {"Content-Length": str(size)} if framing == "length" else {"Transfer-Encoding": "chunked"}
    async with Line.open(world) as line:
        line.head("PATCH", url, fields)
        line.send(data if framing == "length" else b"%x\r\n%s\r\n0\r\n\r\n" % (size, data))
        next_request(line, url, files.token)
        answer = await line.answer()
        assert (answer.status, answer.headers["Connection"]) == (413, "close")
        assert await line.has_ended()
    stored = int((await files.head(url)).headers["Upload-Offset"])
    assert stored == (0 if framing == "length" else 10)
    assert framing == "length" or (world.folder / "a").read_bytes() == data[:10]


# [A10]
@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"Upload-Offset": "7"}, 409),
        ({"Upload-Offset": "x"}, 400),
        ({"Content-Type": "text/plain"}, 415),
        ({"Tus-Resumable": "0.2.2"}, 412),
        ({"Content-Length": "4000"}, 413),
        ({"Authorization": "Bearer x"}, 401),
    ],
)
async def test_a_body_that_is_not_asked_for_is_not_taken_from_the_next_request(
    world: World, files: Collection, fields: dict[str, str], status: int
) -> None:
    """After a refusal the client need not send its body: what comes next would be swallowed as one."""
    url = await files.begin(10)
    usual = {**BODY, "Upload-Offset": "0", "Content-Length": "4", "Authorization": f"Bearer {files.token}"}
    async with Line.open(world) as line:
        line.head("PATCH", url, {**usual, "Expect": "100-continue", **fields})
        answer = await line.answer()
        assert (answer.status, answer.headers["Connection"]) == (status, "close")
        next_request(line, url, files.token)
        assert await line.has_ended()
    async with Line.open(world) as line:
        line.head("PATCH", url, {**usual, "Expect": "100-continue"})
        assert (await line.answer()).status == 100
        line.send(b"abcd")
        answer = await line.answer()
        assert (answer.status, "Connection" in answer.headers) == (204, False)
        next_request(line, url, files.token)
        assert (await line.answer(to="HEAD")).headers["Upload-Offset"] == "4"


@pytest.mark.parametrize("target", ["/files", "/files/x", "/upload?token=x", "/nowhere"])
async def test_every_answer_before_the_end_of_a_body_ends_the_connection(world: World, target: str) -> None:
    async with Line.open(world) as line:
        line.head("POST", target, {"Content-Length": "100000"})
        line.send(bytes(1000))
        answer = await line.answer()
        assert 400 <= answer.status < 500
        assert answer.headers["Connection"] == "close"


async def test_a_body_that_was_read_keeps_the_connection(world: World, files: Collection) -> None:
    url = await files.begin(10)
    async with Line.open(world) as line:
        for number in range(3):
            fields = {**BODY, "Upload-Offset": str(number), "Content-Length": "1"}
            line.head("PATCH", url, {**fields, "Authorization": f"Bearer {files.token}"})
            line.send(b"x")
            answer: Any = await line.answer()
            assert (answer.status, "Connection" in answer.headers) == (204, False)
