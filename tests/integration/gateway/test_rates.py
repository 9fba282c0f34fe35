"""Tokens that say how fast."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import anyio
import pytest
from harness.world import FOLDER, World, open_world

from gateway.transfer.pace import Pace

pytestmark = pytest.mark.anyio

#: As much as is read in one go, and more.
SIZES = {"small": 200_000, "large": 600_000}
RATE = 20_000
STEP = 16 << 10


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path) as opened:
        await opened.make_folder()
        for name, size in SIZES.items():
            await opened.upload(f"d/{name}", os.urandom(size))
        yield opened


class Waits:
    """Whose turn it was, and with how many bytes; all but the first wait until it is over."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, int]] = []
        self.over = anyio.Event()


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> Waits:
    waits = Waits()

    async def turn(pace: Pace, count: int) -> None:
        if pace.is_limited:
            waits.seen.append((id(pace), count))
            if len(waits.seen) > 1:
                await waits.over.wait()

    def give_back(pace: Pace, count: int) -> None:
        if pace.is_limited:
            waits.seen.append((id(pace), -count))

    monkeypatch.setattr(Pace, "turn", turn)
    monkeypatch.setattr(Pace, "give_back", give_back)
    return waits


async def slow_token(world: World, relpath: str, rate: int = RATE) -> str:
    body = {"volume": "disk", "vfid": FOLDER, "relpath": relpath, "rate": rate}
    return str((await world.manager("POST", "/folder/file/download", body)).json["token"])


@pytest.mark.parametrize(
    ("relpath", "query", "fields"),
    [
        ("d/small", "", ""),
        ("d/small", "", f"Range: bytes=0-{STEP + 5}\r\n"),
        ("d/small", "", "Want-Content-Digest: sha-256=1\r\n"),
        ("d/large", "", ""),
        ("d", "&archive=1", ""),
    ],
)
async def test_the_first_bytes_come_before_anything_is_waited_for(
    world: World, waits: Waits, relpath: str, query: str, fields: str
) -> None:
    token = await slow_token(world, relpath)
    reader, writer = await asyncio.open_connection("127.0.0.1", world.client_port, limit=1 << 20)
    writer.write(f"GET /download?token={token}{query} HTTP/1.1\r\nHost: a\r\n{fields}\r\n".encode())
    with anyio.fail_after(20):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        size = int(head.lower().partition("content-length: ")[2].partition("\r\n")[0])
        await reader.readexactly(min(STEP, size))
        await world.settled(lambda: sum(count for _, count in waits.seen) == min(2 * STEP, size))
        waits.over.set()
        await reader.readexactly(size - min(STEP, size))
    await world.settled(lambda: sum(count for _, count in waits.seen) == size)
    assert max(count for _, count in waits.seen) == STEP
    writer.close()


async def test_all_requests_with_a_token_share_its_pace(world: World, waits: Waits) -> None:
    waits.over.set()
    token, other = await slow_token(world, "d/small"), await slow_token(world, "d/small", RATE + 1)
    for text in (token, f"{token}=", f"{token}%3D", token):  # a signature may be padded
        assert (await world.client("GET", f"/download?token={text}")).status == 200
    assert sum(count for _, count in waits.seen) == 4 * SIZES["small"]
    assert len({pace for pace, _ in waits.seen}) == 1
    await world.client("GET", f"/download?token={other}")
    assert len({pace for pace, _ in waits.seen}) == 2


async def test_who_asks_for_little_at_a_time_is_not_sent_more(world: World) -> None:
    """Each time by a connection of its own, which is left as soon as the bytes are there."""
    token, begun = await slow_token(world, "d/large", 400_000), time.monotonic()
    for _ in range(6):
        async with aiohttp.ClientSession() as session:
            url = f"http://127.0.0.1:{world.client_port}/download?token={token}"
            async with session.get(url, headers={"Range": "bytes=0-99999"}) as answer:
                assert len(await answer.read()) == 100_000
    # The first bytes are not waited for.
    assert time.monotonic() - begun >= 5 * 100_000 / 400_000


async def test_those_who_begin_together_take_turns(world: World) -> None:
    token, begun, times = await slow_token(world, "d/large", 400_000), time.monotonic(), list[float]()

    async def ask() -> None:
        answer = await world.client("GET", f"/download?token={token}", headers={"Range": "bytes=0-99999"})
        assert len(answer.body) == 100_000
        times.append(time.monotonic() - begun)

    async with anyio.create_task_group() as tasks:
        for _ in range(6):
            tasks.start_soon(ask)
    for number, seconds in enumerate(sorted(times)):
        assert seconds >= number * 100_000 / 400_000


async def test_rates_that_are_none(world: World) -> None:
    body = {"volume": "disk", "vfid": FOLDER, "relpath": "d/small"}
    for rate, status in ((1023, 400), (0, 400), (-5, 400), (1.5, 400), (1024, 200), (1 << 50, 200), (10**400, 400)):
        answer = await world.manager("POST", "/folder/file/download", {**body, "rate": rate})
        assert answer.status == status, rate


async def test_where_a_server_in_front_sends_files(tmp_path: Path, waits: Waits) -> None:
    waits.over.set()
    for header in ("X-Accel-Redirect", "X-Sendfile"):
        path = tmp_path / header
        path.mkdir()
        async with open_world(path, offload=header, offload_prefix="/srv") as world:
            await world.make_folder()
            data = os.urandom(600_000)
            await world.upload("large.txt", data)
            handed = await world.download("large.txt")
            assert (handed.body, header in handed.headers) == (b"", True)
            assert "X-Accel-Limit-Rate" not in handed.headers
            slow = await world.client("GET", f"/download?token={await slow_token(world, 'large.txt', 200_000)}")
            if header == "X-Accel-Redirect":
                assert (slow.body, slow.headers["X-Accel-Limit-Rate"]) == (b"", "200000")
                assert not waits.seen
            else:
                assert (slow.body, header in slow.headers) == (data, False)
                assert sum(count for _, count in waits.seen) == len(data)
            # What a server in front would not pass on comes from here.
            for fields, query in (
                ({"Want-Repr-Digest": "sha-256=1"}, {}),
                ({"Want-Content-Digest": "sha-256=1"}, {}),
                ({}, {"inline": "1"}),
            ):
                answer = await world.download("large.txt", fields, **query)
                assert (answer.body, header in answer.headers) == (data, False)
