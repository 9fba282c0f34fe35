"""Archives whose receiver leaves in the middle: whatever makes them ends with them."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager

import anyio
import pytest
from harness.line import Line
from harness.world import World

pytestmark = [pytest.mark.anyio, pytest.mark.folder]

#: What is counted of a request whose connection was cut.
CUT = 499


@contextmanager
def abandoned() -> Iterator[list[str]]:
    """What is left in the middle, for the collector of garbage to end it some time."""
    found: list[str] = []
    before = sys.get_asyncgen_hooks()

    def finalize(one: AsyncGenerator[object]) -> None:
        found.append(one.__qualname__)
        if before.finalizer is not None:
            before.finalizer(one)

    sys.set_asyncgen_hooks(finalizer=finalize)
    yield found
    sys.set_asyncgen_hooks(finalizer=before.finalizer)


@pytest.mark.parametrize("query", ["", "&format=tar", "&format=tar.gz", "&compress=deflate"])
async def test_nothing_of_it_is_left(world: World, query: str) -> None:
    (world.folder / "d").mkdir()
    (world.folder / "d" / "large").write_bytes(os.urandom(20_000_000))
    token = await world.download_token("d")
    with abandoned() as left:
        async with Line.open(world) as line:
            line.pause()
            line.head("GET", f"/download?token={token}&archive=1{query}")
            await anyio.sleep(0.2)
            line.reset()
        await world.settled(lambda: any(answer.status == CUT for answer in world.watching.answers))
        gc.collect()
    assert left == []
