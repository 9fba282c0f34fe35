"""Receivers that are slow, and receivers that stand still: only those are cut."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import anyio
import pytest
from harness.world import World, open_world

from gateway.transfer.send import Outlet

pytestmark = pytest.mark.anyio

#: How long a receiver may stand still, in seconds.
IDLE = 0.5
#: What was counted of a request whose connection was cut.
CUT = 499
#: More than the systems between hold.
SIZE = 24 << 20


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path, idle_seconds=IDLE) as opened:
        await opened.make_folder()
        (opened.folder / "d").mkdir()
        (opened.folder / "d" / "f.bin").write_bytes(os.urandom(SIZE))
        yield opened


@pytest.fixture
def receiver(world: World) -> Iterator[socket.socket]:
    """A connection whose system holds little."""
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 128 << 10)
        one.connect(("127.0.0.1", world.client_port))
        one.setblocking(False)
        yield one


async def read_to_the_end(receiver: socket.socket) -> None:
    while await asyncio.get_running_loop().sock_recv(receiver, 1 << 20):
        pass


def cut(world: World) -> bool:
    return any(answer.status == CUT for answer in world.watching.answers)


@pytest.mark.parametrize(
    ("name", "query", "by_kernel"),
    [
        ("d/f.bin", "", True),
        ("d/f.bin", "", False),
        ("d", "&archive=1", True),
        ("d", "&archive=1&format=tar.gz", False),
    ],
)
async def test_who_takes_little_at_a_time_is_not_cut(
    world: World, receiver: socket.socket, monkeypatch: pytest.MonkeyPatch, name: str, query: str, by_kernel: bool
) -> None:
    if not by_kernel:
        monkeypatch.setattr(Outlet, "socket_fd", None)
    loop = asyncio.get_running_loop()
    token = await world.download_token(name)
    receiver.send(f"GET /download?token={token}{query} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    end = time.monotonic() + 6 * IDLE
    while time.monotonic() < end:
        assert await loop.sock_recv(receiver, 30_000)
        await anyio.sleep(0.05)
    assert not cut(world)
    await world.settled(lambda: cut(world))  # once it takes nothing any more


@pytest.mark.parametrize("more", ["", "X-Unheard-Of: 1\r\n"])
async def test_who_takes_nothing_of_small_answers_is_cut(world: World, receiver: socket.socket, more: str) -> None:
    (world.folder / "small").write_bytes(os.urandom(256 << 10))
    token = await world.download_token("small")
    await anyio.sleep(0.05)
    for _ in range(30):  # the systems between hold some of them
        receiver.send(f"GET /download?token={token} HTTP/1.1\r\nHost: x\r\n{more}\r\n".encode())
        await anyio.sleep(0.01)
    await anyio.sleep(5 * IDLE)
    with pytest.raises(ConnectionResetError), anyio.fail_after(20):
        await read_to_the_end(receiver)
