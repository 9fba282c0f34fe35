"""The last bytes of a body wait until those before them are out of reach."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress

import pytest
from harness.processes import until

from gateway.observer import SilentObserver
from gateway.transfer.send import Sender
from gateway.transfer.tail import LAST_BYTES, RECEIVER_BYTES, TAIL_BYTES, unacknowledged

pytestmark = pytest.mark.anyio


class Line:
    """A connection that gets rid of its bytes as it is told."""

    def __init__(self, waiting: Sequence[int]) -> None:
        self._waiting = list(waiting)
        self.asked = 0

    def unacknowledged(self) -> int:
        self.asked += 1
        return self._waiting.pop(0) if len(self._waiting) > 1 else self._waiting[0]


@pytest.mark.parametrize(("waiting", "asked"), [([0], 1), ([10], 1), ([5000, 4000, 4000, 3000, 11, 10], 6)])
async def test_they_wait_as_long_as_bytes_leave(waiting: list[int], asked: int) -> None:
    line = Line(waiting)
    await Sender(1, 60, SilentObserver())._read_up_to(10, line)
    assert line.asked == asked


async def test_a_receiver_that_stands_still_is_given_up() -> None:
    with pytest.raises(TimeoutError):
        await Sender(1, 0.05, SilentObserver())._read_up_to(10, Line([5000, 4000]))


def test_more_is_copied_than_a_receiver_holds() -> None:
    assert TAIL_BYTES - LAST_BYTES > RECEIVER_BYTES >= 1 << 20


@pytest.fixture
def connect() -> Callable[[], tuple[socket.socket, socket.socket]]:
    def connected() -> tuple[socket.socket, socket.socket]:
        with socket.create_server(("127.0.0.1", 0)) as server:
            one = socket.create_connection(server.getsockname())
            return one, server.accept()[0]

    return connected


def test_what_a_connection_has_not_got_rid_of(connect: Callable[[], tuple[socket.socket, socket.socket]]) -> None:
    one, other = connect()
    with one, other:
        assert unacknowledged(one.fileno()) == 0
        one.setblocking(False)
        sent = 0
        with suppress(BlockingIOError):
            while True:
                sent += one.send(bytes(1 << 16))
        assert 0 < unacknowledged(one.fileno()) <= sent
        while sent:
            sent -= len(other.recv(1 << 20))
        until(lambda: unacknowledged(one.fileno()) == 0, "all is acknowledged")


def test_what_does_not_tell() -> None:
    fd = os.open(os.devnull, os.O_WRONLY)
    assert unacknowledged(fd) == 0
    os.close(fd)
