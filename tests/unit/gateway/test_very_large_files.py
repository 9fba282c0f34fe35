"""The checksum of a file of very many blocks is not made on the event loop."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Callable

import pytest
from anyio import to_thread

from gateway.archive import blocks
from gateway.archive.blocks import Blocks

pytestmark = pytest.mark.anyio

BLOCK = 10


@pytest.mark.parametrize(("count", "threads"), [(64, 0), (65, 1)])
async def test_many_checksums_become_one_on_a_thread(
    monkeypatch: pytest.MonkeyPatch, count: int, threads: int
) -> None:
    monkeypatch.setattr(blocks, "BLOCK_BYTES", BLOCK)
    data, used = bytes(range(BLOCK)) * count, list[int]()

    async def read(start: int, end: int) -> AsyncIterator[bytes]:
        yield data[start:end]

    async def work(function: Callable[[], int | None]) -> int | None:
        used.append(1)
        return await to_thread.run_sync(function)

    assert await Blocks(len(data)).complete(read, work) == zlib.crc32(data)
    assert len(used) == threads
