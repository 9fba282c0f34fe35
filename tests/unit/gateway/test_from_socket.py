"""Bodies that are taken from their sockets by who may have lost the upload."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest

from domain.errors import FencedError
from gateway.uploads.from_socket import SocketBody

pytestmark = pytest.mark.anyio


class Lost:
    """A lease somebody else has."""

    async def confirm(self) -> None:
        raise FencedError("somebody else has it")


class Untouched:
    """A staging nothing may come to."""

    offset = 0

    async def append(self, pieces: object) -> None:
        raise AssertionError(pieces)

    async def receive(self, intake: object) -> None:
        raise AssertionError(intake)


class Waiting:
    """A body of which some was read by the HTTP library, and the rest is in a socket."""

    left = 3

    def __init__(self, early: list[bytes], socket_fd: int) -> None:
        self._early = early
        self.socket_fd = socket_fd
        self.ended: list[int] = []

    def begin(self) -> list[bytes]:
        return self._early

    def end(self, taken: int) -> None:
        self.ended.append(taken)


@pytest.fixture
def sender() -> Iterator[socket.socket]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.send(b"def")
        yield ours


@pytest.mark.parametrize("early", [[b"abc"], []], ids=["read", "in-the-socket"])
async def test_who_has_lost_an_upload_stores_nothing_of_what_has_come(
    sender: socket.socket, early: list[bytes]
) -> None:
    handover: Any = Waiting(early, sender.fileno())
    lost: Any = Lost()
    staging: Any = Untouched()
    with pytest.raises(FencedError):
        await SocketBody(handover, 1.0, lost, lambda _: None).store(staging)
    assert handover.ended == [0]
