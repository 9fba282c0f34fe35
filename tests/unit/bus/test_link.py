"""The shared connection, with a server that is not the one to talk to for a moment."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import anyio
import hiredis
import pytest
from anyio.abc import SocketAttribute, SocketStream
from anyio.lowlevel import checkpoint
from pydantic import SecretStr

from bus.observer import SilentObserver
from bus.settings import BusSettings
from bus.streams.connection import Connections
from bus.streams.link import Link

pytestmark = pytest.mark.anyio

LOADING = b"-LOADING Redis is loading the dataset in memory\r\n"
READ_ONLY = b"-READONLY You can't write against a read only replica.\r\n"


@pytest.fixture(params=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    return "asyncio", {"use_uvloop": request.param == "uvloop"}


@asynccontextmanager
async def linked(answer: Callable[[bytes], bytes]) -> AsyncIterator[Link]:
    """A link to a server that takes every handshake, and gives these answers to `ECHO`, each in a packet."""

    async def serve(stream: SocketStream) -> None:
        stream.extra(SocketAttribute.raw_socket).setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        reader = hiredis.Reader()
        async with stream:
            with suppress(anyio.BrokenResourceError):  # the link has hung up
                async for data in stream:
                    reader.feed(data)
                    while (command := reader.gets()) is not False:
                        name, *words = command
                        await stream.send(answer(words[0]) if name == b"ECHO" else b"+OK\r\n")
                        await checkpoint()

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(SocketAttribute.local_port)
    settings = BusSettings(url=SecretStr(f"redis://127.0.0.1:{port}/0"), command_timeout_seconds=5.0)
    link = Link(Connections(settings), SilentObserver())
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, serve)
        tasks.start_soon(link.run)
        yield link
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize("refusal", [LOADING, READ_ONLY])
@pytest.mark.parametrize("place", [0, 1, 10, 49])
async def test_answers_behind_a_refusal_are_nobodys(refusal: bytes, place: int) -> None:
    refused = [b"%d" % place]

    def answer(word: bytes) -> bytes:
        if word in refused:
            refused.remove(word)
            return refusal
        return b"$%d\r\n%s\r\n" % (len(word), word)

    heard = dict[bytes, bytes]()

    async def ask(word: bytes) -> None:
        heard[word] = await link.execute("ECHO", word)

    async with linked(answer) as link, anyio.create_task_group() as tasks:
        for number in range(50):
            tasks.start_soon(ask, b"%d" % number)
    assert not refused
    assert heard == {word: word for word in heard}
    assert len(heard) == 50
