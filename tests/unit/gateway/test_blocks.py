"""The checksum of a large file, from what several have read of it."""

from __future__ import annotations

import random
import zlib
from collections.abc import AsyncIterator

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.archive import blocks
from gateway.archive.blocks import Blocks
from gateway.archive.deflate import crc32_of_both

BLOCK = 100
DATA = random.Random(1).randbytes(1030)


@pytest.fixture(autouse=True)
def short_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "BLOCK_BYTES", BLOCK)


class Reading:
    """Gives bytes of a file and remembers which."""

    def __init__(self, data: bytes = DATA) -> None:
        self._data = data
        self.asked: list[tuple[int, int]] = []
        self.go_on = anyio.Event()
        self.go_on.set()

    async def __call__(self, start: int, end: int) -> AsyncIterator[bytes]:
        self.asked.append((start, end))
        await self.go_on.wait()
        for at in range(start, end, 30):
            yield self._data[at : min(at + 30, end)]


@given(st.binary(max_size=2000), st.binary(max_size=2000))
def test_two_checksums_become_one(first: bytes, second: bytes) -> None:
    assert crc32_of_both(zlib.crc32(first), zlib.crc32(second), len(second)) == zlib.crc32(first + second)


@pytest.mark.parametrize("size", [1, 99, 100, 101, 1030])
async def test_a_file_nobody_has_read(size: int) -> None:
    reading, known = Reading(), Blocks(size)
    assert (known.whole(), known.is_complete) == (None, False)
    assert await known.complete(reading) == known.whole() == zlib.crc32(DATA[:size])
    assert reading.asked == [(at, min(at + BLOCK, size)) for at in range(0, size, BLOCK)]


@given(st.lists(st.tuples(st.integers(0, 1030), st.integers(1, 400)), max_size=8), st.integers(1, 90))
def test_what_was_sent_is_not_read_again(parts: list[tuple[int, int]], step: int) -> None:
    known, seen = Blocks(len(DATA)), set[int]()
    for start, count in parts:
        watch, end = known.watch(start), min(start + count, len(DATA))
        for at in range(start, end, step):
            watch.see(DATA[at : min(at + step, end)])
        whole = {at // BLOCK for at in range(0, len(DATA), BLOCK) if start <= at and min(at + BLOCK, 1030) <= end}
        seen |= whole
    reading = Reading()
    assert anyio.run(known.complete, reading) == zlib.crc32(DATA)
    assert {start // BLOCK for start, _ in reading.asked} == set(range(11)) - seen


async def test_who_comes_together_reads_each_block_once() -> None:
    reading, known = Reading(), Blocks(len(DATA))
    found: list[int] = []

    async def one() -> None:
        found.append(await known.complete(reading))

    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(one)
    assert found == [zlib.crc32(DATA)] * 5
    assert sorted(reading.asked) == [(at, min(at + BLOCK, 1030)) for at in range(0, 1030, BLOCK)]


async def test_what_one_leaves_unread_another_one_reads() -> None:
    stuck, reading, known = Reading(), Reading(), Blocks(len(DATA))
    stuck.go_on = anyio.Event()
    async with anyio.create_task_group() as others, anyio.create_task_group() as tasks:
        tasks.start_soon(known.complete, stuck)
        await anyio.wait_all_tasks_blocked()
        others.start_soon(known.complete, reading)
        await anyio.wait_all_tasks_blocked()
        assert (stuck.asked, len(reading.asked)) == ([(0, BLOCK)], 10)
        tasks.cancel_scope.cancel()
    assert (known.whole(), reading.asked[-1]) == (zlib.crc32(DATA), (0, BLOCK))


async def test_only_what_lies_before_is_filled() -> None:
    reading, known = Reading(), Blocks(len(DATA))
    await known.fill(reading, 201)
    assert [start for start, _ in reading.asked] == [0, 100, 200]


async def test_a_file_that_cannot_be_read_is_told_to_who_asks() -> None:
    async def failing(start: int, end: int) -> AsyncIterator[bytes]:
        raise OSError
        yield b""

    known = Blocks(len(DATA))
    with pytest.raises(OSError):
        await known.complete(failing)
    assert await known.complete(Reading()) == zlib.crc32(DATA)
