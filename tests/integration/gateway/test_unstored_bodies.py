"""Requests whose bodies are read and not stored: they keep an upload from nobody."""

from __future__ import annotations

import hashlib
import io
import os
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from harness.bodies import pieces
from harness.fields import BODY, metadata
from harness.line import Line
from harness.tus import Collection
from harness.uploads import session_of
from harness.world import World
from integration.gateway.resumable_client import opened

from gateway.uploads import comparing

pytestmark = pytest.mark.anyio

SIZE = 1000
DATA = os.urandom(SIZE)
#: How each is begun that has its file already, and how that is asked about afterwards.
BODIES = ["adopted", "finished", "uploaded-again", "appended-again"]


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with opened(tmp_path) as world:
        yield world


class Scene:
    """A file that is there, and requests that come to an upload of it."""

    def __init__(self, world: World, token: str, session: str) -> None:
        self.world = world
        self.token = token
        self.files = Collection(world, token)
        self.url = f"/files/{session}"

    @classmethod
    async def open(cls, world: World) -> Scene:
        await world.upload("a", DATA)
        token = await world.upload_token("a", SIZE)
        return cls(world, token, session_of(token))

    async def complete(self) -> None:
        """Have it be finished, in the words of the IETF's uploads."""
        answer = await self.files.ask("POST", "/uploads", {"Upload-Complete": "?1"}, DATA)
        assert answer.status == 200, answer.body

    async def head(self, kind: str) -> tuple[str, str, dict[str, str]]:
        """The head of a request whose body is only read."""
        sized, chunked = {"Content-Length": str(SIZE)}, {"Transfer-Encoding": "chunked"}
        match kind:
            case "adopted":
                announced = metadata(sha256=hashlib.sha256(DATA).hexdigest())
                return "POST", "/files", {**BODY, **sized, "Upload-Length": str(SIZE), "Upload-Metadata": announced}
            case "finished":
                assert (await self.files.patch(self.url, 0, DATA)).status == 204
                return "PATCH", self.url, {**BODY, **chunked, "Upload-Offset": str(SIZE)}
            case "uploaded-again":
                await self.complete()
                return "POST", "/uploads", {**sized, "Upload-Complete": "?1"}
            case _:
                await self.complete()
                fields = {
                    "Content-Type": "application/partial-upload",
                    "Upload-Offset": "0",
                    "Upload-Complete": "?1",
                }
                return "PATCH", self.url.replace("files", "uploads"), {**fields, **chunked}

    @asynccontextmanager
    async def sending(self, kind: str) -> AsyncIterator[Line]:
        """A request of which the head was sent, and that has the upload."""
        method, target, fields = await self.head(kind)
        await self.world.settled(lambda: not self.world.store.leases)
        async with Line.open(self.world) as line:
            line.head(method, target, {"Authorization": f"Bearer {self.token}", **fields})
            await self.world.settled(lambda: self.world.store.leases)
            await anyio.sleep(0.1)
            yield line


@pytest.mark.parametrize("kind", BODIES)
async def test_who_comes_back_is_served(world: World, kind: str) -> None:
    scene = await Scene.open(world)
    async with scene.sending(kind) as old:
        assert (await scene.files.head(scene.url)).status == 200
        answer = await old.answer()
        assert (answer.status, answer.headers["Connection"]) == (423, "close")


@pytest.mark.parametrize("kind", BODIES)
async def test_dropping_ends_them_at_once(world: World, kind: str) -> None:
    scene = await Scene.open(world)
    async with scene.sending(kind) as old:
        assert (await scene.files.delete(scene.url)).status == 204
        # One that was finished is only forgotten, by who takes it over.
        assert (await old.answer()).status == (410 if kind == "adopted" else 423)
    assert (world.folder / "a").read_bytes() == DATA


async def test_bodies_are_hashed_on_threads(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop would stand still for as long as all of what came at once takes."""
    data = os.urandom(3 << 20)
    assert (await world.patch(await world.upload_token("a", len(data)), 0, io.BytesIO(data))).status == 204
    seen: list[int] = []
    feed = comparing._feed

    def noting(hashers: Any, batch: Any) -> None:
        seen.append(sum(map(len, batch)))
        assert threading.current_thread() is not threading.main_thread()
        feed(hashers, batch)

    monkeypatch.setattr(comparing, "_feed", noting)
    files = await Collection.open(world)
    told = metadata(filename="a", sha256=hashlib.sha256(data).hexdigest())
    fields = {**BODY, "Upload-Length": str(len(data)), "Upload-Metadata": told}
    for sent, status in ((data, 201), (data[::-1], 460)):
        seen.clear()
        parts = [sent[at : at + 100_000] for at in range(0, len(sent), 100_000)]
        assert (await files.ask("POST", "/files", fields, pieces(*parts))).status == status
        assert sum(seen) == len(data)
        assert len(seen) <= 3, "not for each of the pieces"
