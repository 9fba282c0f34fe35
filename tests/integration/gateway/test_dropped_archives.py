"""Archives that are dropped while they are unpacked."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Sequence
from typing import Any

import anyio
import pytest
from harness.archives import zip_of
from harness.fields import BODY, TUS, metadata
from harness.line import Line
from harness.tus import Collection
from harness.world import SCOPE, World

from backends.contract import SmallFile
from backends.mounted.appending import MountedStaging
from backends.mounted.files import MountedFiles
from gateway.uploads import dropping

pytestmark = [pytest.mark.anyio, pytest.mark.folder]

#: More than is stored together.
MANY = {f"{number:04}": b"x" for number in range(1000)}
LARGE = {"large": os.urandom(20 << 20)}


@pytest.fixture(autouse=True)
def looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dropping, "LOOK_SECONDS", 0.02)


@pytest.fixture
def stored(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How often something of an archive was stored; that takes a while."""
    steps: list[int] = []
    store_many, append = MountedFiles.store_many, MountedStaging.append

    async def slow_many(self: MountedFiles, session: str, some: Sequence[SmallFile]) -> Sequence[int | None]:
        steps.append(len(some))
        await anyio.sleep(0.2)
        return await store_many(self, session, some)

    async def slow(self: MountedStaging, chunks: Sequence[Any]) -> None:
        if len(chunks[0]) == 1 << 20:
            steps.append(1)
            await anyio.sleep(0.2)
        await append(self, chunks)

    monkeypatch.setattr(MountedFiles, "store_many", slow_many)
    monkeypatch.setattr(MountedStaging, "append", slow)
    return steps


@pytest.mark.parametrize("members", [MANY, LARGE])
async def test_nothing_more_is_unpacked_of_an_archive_that_was_dropped(
    world: World, files: Collection, stored: list[int], members: dict[str, bytes]
) -> None:
    body = {"volume": "disk", "qsid": SCOPE, "options": {"limit_bytes": 1 << 30}}
    assert (await world.manager("PATCH", "/quota-scope", body)).status == 204
    data = zip_of(members, zipfile.ZIP_STORED)
    fields = {"Upload-Length": str(len(data)), "Upload-Metadata": metadata(filename="in/archive", extract="1")}
    url = "/" + (await files.ask("POST", "/files", {**TUS, **fields})).headers["Location"]
    sent = {
        **BODY,
        "Authorization": f"Bearer {files.token}",
        "Upload-Offset": "0",
        "Content-Length": str(len(data)),
    }
    async with Line.open(world) as line:
        line.head("PATCH", url, sent)
        line.send(data)
        stored.clear()
        await world.settled(lambda: stored)
        assert (await files.delete(url)).status == 204
        steps = len(stored)
        assert (await line.answer()).status == 410
    assert len(stored) <= steps + 2
    assert world.events("archive.unpacked") == []
    assert not [m for name, found in world.store.view.indexes.items() if ":uploads" in name for m in found]
    if members is LARGE:
        assert not list(world.folder.rglob("large"))
    assert not (world.folder / ".upload").exists() or not list((world.folder / ".upload").iterdir())
