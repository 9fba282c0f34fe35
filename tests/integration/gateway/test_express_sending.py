"""Answers that are written past their transport: all of them, in order, whatever the connection takes."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator

import anyio.lowlevel
import pytest

from gateway.express.answer import send

pytestmark = pytest.mark.anyio

BIG = os.urandom(3 << 20)


@pytest.fixture
async def ends() -> AsyncIterator[tuple[asyncio.Transport, socket.socket]]:
    """A connection: the transport of one end, and the other end."""
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, sock=ours)
    yield transport, theirs
    transport.abort()
    theirs.close()
    await anyio.lowlevel.checkpoint()


async def read(end: socket.socket, count: int) -> bytes:
    loop, found = asyncio.get_running_loop(), bytearray()
    with anyio.fail_after(10):
        while len(found) < count and (piece := await loop.sock_recv(end, 65_536)):
            found += piece
    return bytes(found)


async def test_what_is_sent_arrives_in_order(ends: tuple[asyncio.Transport, socket.socket]) -> None:
    """Also where the connection takes only a part, and the transport has the rest."""
    transport, other = ends
    sent = [b"small", BIG, b"behind it", b"and that"]
    for data in sent[:2]:
        send(transport, data)
    assert transport.get_write_buffer_size() > 0
    begin = other.recv(65_536)  # now there is room, which what the transport has comes first into
    for data in sent[2:]:
        send(transport, data)
    assert begin + await read(other, sum(map(len, sent)) - len(begin)) == b"".join(sent)
    send(transport, b"again")
    assert await read(other, 5) == b"again"


async def test_a_connection_that_is_broken_is_found_to_be(ends: tuple[asyncio.Transport, socket.socket]) -> None:
    transport, other = ends
    other.close()
    for _ in range(3):
        send(transport, b"nobody is there")
        await anyio.sleep(0.01)
    assert transport.is_closing()
