"""Requests that would be refused in any case: they take an upload from nobody who writes to it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest
from harness.fields import BODY, TUS
from harness.tus import LARGE, Collection, sending
from harness.world import Answer, World
from integration.gateway.resumable_client import PARTIAL, RESUMABLE

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
