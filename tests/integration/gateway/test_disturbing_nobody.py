"""Requests that would be refused in any case: they take an upload from nobody who writes to it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest
from harness.fields import BODY, TUS
from harness.line import Line
from harness.tus import LARGE, Collection, sending
from harness.world import Answer, World
from integration.gateway.resumable_client import PARTIAL, RESUMABLE, append, begun, dashed, look, problem

pytestmark = [pytest.mark.anyio, pytest.mark.folder, RESUMABLE]

#: Bytes that have come while another request asks.
STORED = 100_000
#: Requests of one upload, by their collections.
ASKED = [("HEAD", "files"), ("PATCH", "files"), ("DELETE", "files")]
ASKED += [("HEAD", "uploads"), ("GET", "uploads"), ("PATCH", "uploads"), ("DELETE", "uploads")]


@asynccontextmanager
async def undisturbed(files: Collection, url: str) -> AsyncIterator[None]:
    """Somebody who has been silent for so long that another one may have the upload; all of it is stored here."""
    async with sending(files, "PATCH", url, LARGE, STORED, **BODY, Upload_Offset="0") as line:
        await anyio.sleep(1.1)
        yield
        line.send(b"x" * (LARGE - STORED))
        assert (await line.answer()).status == 204


async def asked(files: Collection, method: str, collection: str, url: str) -> Answer:
    """A request of an upload that would be served if its token were the right one."""
    head = {"Upload-Offset": str(STORED), **({"Upload-Complete": "?0"} if collection == "uploads" else {})}
    kind = TUS if method != "PATCH" else BODY if collection == "files" else PARTIAL
    return await files.ask(method, url.replace("files", collection), {**kind, **head}, b"x" * (method == "PATCH"))


@pytest.mark.parametrize(("method", "collection"), ASKED)
async def test_a_token_of_another_owner(world: World, files: Collection, method: str, collection: str) -> None:
    other = await Collection.open(world, owner="else")
    url = await files.begin(LARGE)
    async with undisturbed(files, url):
        assert (await asked(other, method, collection, url)).status == 404
    assert (world.folder / "a").read_bytes() == b"x" * LARGE


@pytest.mark.parametrize(("method", "collection"), ASKED)
async def test_what_is_kept_open_stays_so_for_another_owner(
    world: World, files: Collection, method: str, collection: str
) -> None:
    other = await Collection.open(world, owner="else")
    url = await files.begin(LARGE)
    assert (await files.patch(url, 0, b"x")).status == 204
    kept = world.gate.uploads.opened.kept_open(url.rpartition("/")[2])
    assert kept is not None
    assert (await asked(other, method, collection, url)).status == 404
    assert world.gate.uploads.opened.kept_open(url.rpartition("/")[2]) is kept


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"Upload_Checksum": "sha3 AA=="}, 400),
        ({"Upload_Length": str(LARGE + 1)}, 400),
        ({"Upload_Length": "x"}, 400),
        ({"Content_Length": str(LARGE - STORED + 1)}, 413),
        ({"Upload_Offset": "0"}, 409),
    ],
)
async def test_a_patch_that_says_what_cannot_be(
    world: World, files: Collection, fields: dict[str, str], status: int
) -> None:
    url = await files.begin(LARGE)
    head = {**BODY, "Authorization": f"Bearer {files.token}", "Upload-Offset": str(STORED), "Content-Length": "1"}
    async with undisturbed(files, url), Line.open(world) as line:
        line.head("PATCH", url, {**head, **dashed(fields)})
        assert (await line.answer()).status == status


async def test_an_append_that_contradicts_the_length(files: Collection) -> None:
    url = await files.begin(LARGE)
    async with undisturbed(files, url):
        answer = await append(files, url.replace("files", "uploads"), STORED, "?0", b"x", Upload_Length="7")
        assert problem(answer) == (400, "inconsistent-upload-length")


@pytest.mark.parametrize("method", ["HEAD", "GET", "PATCH"])
async def test_a_part_is_of_another_protocol(files: Collection, method: str) -> None:
    url = await files.part(LARGE)
    async with undisturbed(files, url):
        assert (await asked(files, method, "uploads", url)).status == 404


async def test_an_append_that_is_too_long_ends_the_upload_all_the_same(world: World, files: Collection) -> None:
    url = await begun(files, Upload_Length=str(LARGE))
    fields = {**PARTIAL, "Upload_Offset": "0", "Upload_Complete": "?0"}
    async with sending(files, "PATCH", url, LARGE, STORED, **fields) as line:
        await anyio.sleep(1.1)
        assert problem(await append(files, url, STORED, "?0", b"x" * LARGE))[0] == 400
        assert (await line.answer()).status in (410, 423)
    assert (await look(files, url)).status == 410
    assert list(world.folder.iterdir()) == []
