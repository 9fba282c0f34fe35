"""Paths of as many directories as a path may have."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from typing import Any

import pytest
from harness.archives import tar_of
from harness.tus import LARGE
from harness.world import FOLDER, World

pytestmark = [pytest.mark.anyio, pytest.mark.folder]

#: 3,069 bytes.
DEEP = "/".join(["d"] * 1535)


async def call(world: World, operation: str, **body: Any) -> Any:
    return await world.manager("POST", f"/folder/file/{operation}", {"volume": "disk", "vfid": FOLDER, **body})


@pytest.fixture(autouse=True)
async def deep(world: World) -> AsyncIterator[None]:
    """Nothing of it stays: whoever removes the test's directory does not come so far down."""
    yield
    assert (await call(world, "delete", relpaths=["d"], recursive=True)).status == 200
    assert os.listdir(world.folder) == []


async def test_directories_are_made_and_moved(world: World) -> None:
    assert (await call(world, "mkdir", relpath=DEEP)).status == 200
    assert (await call(world, "list", relpath=DEEP)).json == {"items": []}
    assert (await call(world, "move", src_relpath=DEEP, dst_relpath="d/e")).status == 204
    assert (await call(world, "list", relpath="d/e")).json == {"items": []}


@pytest.mark.parametrize("size", [3, LARGE])
async def test_files_are_uploaded(world: World, size: int) -> None:
    data = os.urandom(size)
    await world.upload(DEEP, data)
    assert (await world.download(DEEP)).body == data


async def test_archives_are_unpacked(world: World) -> None:
    archive = tar_of({DEEP: b"data"})
    token = await world.upload_token("a.tar", len(archive))
    assert (await world.patch(token, 0, archive, extract="1")).status == 204
    assert (await world.download(DEEP)).body == b"data"
