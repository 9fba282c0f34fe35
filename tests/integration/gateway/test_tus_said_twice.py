"""Heads of requests without a body of which it is not clear what they say."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from harness.fields import TUS
from harness.line import Line
from harness.tus import Collection
from harness.world import World, open_world

pytestmark = pytest.mark.anyio


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path) as opened:
        await opened.make_folder()
        yield opened


@pytest.fixture
async def files(world: World) -> Collection:
    return await Collection.open(world)


@pytest.mark.parametrize("method", ["HEAD", "DELETE"])
@pytest.mark.parametrize(
    ("name", "value", "status"),
    [("Tus-Resumable", "1.0.0", 400), ("Upload-Offset", "0", 400), ("Transfer-Encoding", "gzip, chunked", 501)],
)
async def test_what_is_said_twice_is_not_said(
    world: World, files: Collection, method: str, name: str, value: str, status: int
) -> None:
    url = await files.begin(6)
    fields = {**TUS, "Authorization": f"Bearer {files.token}"}
    said = [(name, value)] if name == "Transfer-Encoding" else [("Upload-Offset", "0"), (name, value)]
    async with Line.open(world) as line:
        line.head(method, url, [*fields.items(), *said])
        answer = await line.answer(to=method)
    assert answer.status == status
    assert answer.headers["Tus-Resumable"] == "1.0.0"
    assert (await files.head(url)).headers["Upload-Offset"] == "0"
