"""Connections that are lost before anybody has read what has come of a request's body."""

from __future__ import annotations

import os
from typing import Any

import anyio
import pytest
from harness.fields import BODY
from harness.line import Line
from harness.tus import LARGE, Collection
from harness.world import World
from integration.gateway.resumable_client import RESUMABLE

from gateway.uploads.uploads import Uploads

pytestmark = [pytest.mark.anyio, pytest.mark.folder, RESUMABLE]

DATA = os.urandom(3000)
IETF = {"Content-Type": "application/partial-upload", "Upload-Complete": "?0"}
FRONTS = {"files": BODY, "uploads": IETF}


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> anyio.Event:
    """Nobody finds out whether somebody else has an upload before this."""
    event, busy = anyio.Event(), Uploads.busy

    async def late(uploads: Uploads, *args: Any) -> Any:
        found = await busy(uploads, *args)
        await event.wait()
        return found

    monkeypatch.setattr(Uploads, "busy", late)
    return event


@pytest.mark.parametrize("leaves", ["ends", "resets"])
@pytest.mark.parametrize("framing", ["plain", "chunked"])
@pytest.mark.parametrize("front", FRONTS)
@pytest.mark.parametrize("sent", [1000, len(DATA)])
async def test_what_has_come_is_stored(
    world: World, files: Collection, taken: anyio.Event, front: str, framing: str, leaves: str, sent: int
) -> None:
    url = await files.begin(LARGE)
    fields = {**FRONTS[front], "Authorization": f"Bearer {files.token}", "Upload-Offset": "0"}
    async with Line.open(world) as line:
        if framing == "plain":
            line.head("PATCH", url.replace("files", front), {**fields, "Content-Length": str(len(DATA))})
            line.send(DATA[:sent])
        else:
            line.head("PATCH", url.replace("files", front), {**fields, "Transfer-Encoding": "chunked"})
            line.send(b"%x\r\n%s\r\n" % (sent, DATA[:sent]))
        await line.drain()
        await anyio.sleep(0.05)
        if leaves == "ends":
            line.end()
        else:
            line.reset()
        await anyio.sleep(0.05)
        taken.set()
    await world.stored(sent)
    assert (await files.head(url)).headers["Upload-Offset"] == str(sent)


async def test_what_has_come_whole_is_a_file(world: World, files: Collection, taken: anyio.Event) -> None:
    url = await files.begin(len(DATA))
    fields = {**IETF, "Authorization": f"Bearer {files.token}", "Upload-Offset": "0", "Upload-Complete": "?1"}
    async with Line.open(world) as line:
        line.head("PATCH", url.replace("files", "uploads"), {**fields, "Content-Length": str(len(DATA))})
        line.send(DATA)
        await line.drain()
        await anyio.sleep(0.05)
    await anyio.sleep(0.05)
    taken.set()
    await world.settled(lambda: world.events("file.uploaded"))
    assert (world.folder / "a").read_bytes() == DATA
