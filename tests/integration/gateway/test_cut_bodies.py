"""Bodies whose connection ends right behind them: what has come counts, as if it had come earlier."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import anyio
import pytest
from harness.fields import BODY
from harness.line import Line
from harness.tus import Collection
from harness.world import World
from loguru import logger

pytestmark = [pytest.mark.anyio, pytest.mark.folder]

DATA = os.urandom(5000)
#: A field that nobody heeds, but makes a request no simple one.
ORDINARY = {"X-Unheard-Of": "1"}


@pytest.fixture(params=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    return "asyncio", {"use_uvloop": request.param == "uvloop"}


@pytest.fixture(autouse=True)
def no_defects() -> Iterator[None]:
    """Nobody's leaving is a defect."""
    found: list[str] = []
    sink = logger.add(lambda line: found.append(str(line)), format=lambda _: "{message}", level="ERROR")
    yield
    logger.remove(sink)
    assert found == []


async def left_behind(world: World, files: Collection, url: str, data: bytes, fields: dict[str, str]) -> int:
    """How far an upload is after who has sent this has left at once."""
    async with Line.open(world) as line:
        await anyio.sleep(0.02)  # or it would be there before its first bytes
        told = {**BODY, "Authorization": f"Bearer {files.token}", "Upload-Offset": "0", **fields}
        line.head("PATCH", url, told)
        line.send(data)
        line.end()
        assert await line.has_ended()
    await anyio.sleep(0.1)
    return int((await files.head(url)).headers["Upload-Offset"])


# [A12]
@pytest.mark.parametrize("more", [{}, ORDINARY], ids=["simple", "ordinary"])
@pytest.mark.parametrize("size", [10_000, 1_000_000])
async def test_a_part_of_a_body(world: World, files: Collection, size: int, more: dict[str, str]) -> None:
    url = await files.begin(size)
    assert await left_behind(world, files, url, DATA, {"Content-Length": str(size), **more}) == len(DATA)


# [A12]
async def test_a_part_of_a_chunked_body(world: World, files: Collection) -> None:
    url = await files.begin(10_000)
    chunks = b"%x\r\n%b\r\n5\r\nab" % (len(DATA), DATA)
    assert await left_behind(world, files, url, chunks, {"Transfer-Encoding": "chunked"}) == len(DATA) + 2


# [A12]
@pytest.mark.parametrize("size", [len(DATA), 10_000])
async def test_all_of_a_body(world: World, files: Collection, size: int) -> None:
    url = await files.begin(size)
    fields = {"Content-Length": str(len(DATA)), **ORDINARY}
    assert await left_behind(world, files, url, DATA, fields) == len(DATA)
    assert (world.folder / "a").exists() == (size == len(DATA))
