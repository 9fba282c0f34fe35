"""Clients of the IETF's resumable uploads that say odd things, or leave before they are told anything."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import ClientConnectionResetError
from harness.line import Line
from harness.tus import Collection
from harness.world import World
from integration.gateway.resumable_client import opened

from gateway.client.resumable import ResumableRoutes

pytestmark = pytest.mark.anyio


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with opened(tmp_path) as world:
        yield world


def head(line: Line, files: Collection, **fields: str) -> None:
    said = {"Authorization": f"Bearer {files.token}", "Content-Length": "3", "Upload-Complete": "?0"}
    line.head("POST", "/uploads", {**said, **{name.replace("_", "-"): value for name, value in fields.items()}})


async def test_nothing_is_left_of_an_upload_whose_place_nobody_was_told(
    world: World, files: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its client left when it was begun, and cannot be sent the 104."""

    async def gone(*_: object) -> bool:
        raise ClientConnectionResetError("Cannot write to closing transport")

    monkeypatch.setattr(ResumableRoutes, "_tell_location", gone)
    async with Line.open(world) as line:
        head(line, files, Content_Disposition='inline; filename="a"', Upload_Draft_Interop_Version="9")
        assert await line.has_ended()
    assert not [name for name in world.store.records if name.startswith("upload:")]
    assert list(world.folder.iterdir()) == []
    assert not [m for name, found in world.store.view.indexes.items() if ":uploads" in name for m in found]


async def test_bytes_in_a_name_that_are_no_text(world: World, files: Collection) -> None:
    async with Line.open(world) as line:
        head(line, files, Content_Disposition="inline; filename*=UTF-8''a\xff")
        answer = await line.answer()
    assert (answer.status, list(answer.json["data"])) == (400, ["Content-Disposition"])
