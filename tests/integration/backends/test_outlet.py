"""Sending to a socket from threads."""

from __future__ import annotations

import errno
import os
import socket
import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.outlet import SocketOutlet
from domain.errors import BackendUnavailableError


class Pair:
    """An outlet and who receives from it."""

    def __init__(self) -> None:
        self.ours, self.theirs = socket.socketpair()
        self.ours.setblocking(False)
        self.outlet = SocketOutlet(self.ours.fileno())

    def received(self, count: int) -> bytes:
        self.theirs.settimeout(10)
        found = b""
        while len(found) < count and (part := self.theirs.recv(count - len(found))):
            found += part
        return found

    def close(self) -> None:
        self.outlet.close()
        self.ours.close()
        self.theirs.close()


@pytest.fixture
def pair() -> Iterator[Pair]:
    made = Pair()
    yield made
    made.close()


@given(st.lists(st.binary(max_size=20), max_size=3000), st.integers(1, 200))
def test_all_arrives_in_its_order(pieces: list[bytes], step: int) -> None:
    pair, data = Pair(), b"".join(pieces)
    found = list[bytes]()
    reader = threading.Thread(target=lambda: found.append(pair.received(len(data))))
    reader.start()
    for start in range(0, len(pieces), step):
        left = pair.outlet.put(pieces[start : start + step])
        while left:
            left = pair.outlet.put(left)
    reader.join()
    pair.close()
    assert found == [data]
    assert pair.outlet.sent == len(data)


def test_what_the_socket_does_not_take_is_left(pair: Pair) -> None:
    data = os.urandom(4 << 20)
    left = pair.outlet.put([data[:5], b"", data[5 : 1 << 20], data[1 << 20 :]], patient=False)
    assert 0 < pair.outlet.sent < len(data)
    assert b"".join(left) == data[pair.outlet.sent :]
    assert pair.outlet.put(left, patient=False) == left, "it is full"
    received = pair.received(pair.outlet.sent)
    while left:
        before = pair.outlet.sent
        left = pair.outlet.put(left, patient=False)
        received += pair.received(pair.outlet.sent - before)
    assert received == data


def test_who_is_gone_is_told_once(pair: Pair) -> None:
    pair.theirs.close()
    assert pair.outlet.put([b"lost"]) == []
    assert isinstance(pair.outlet.failure, ConnectionError)
    assert pair.outlet.put([b"more"]) == []
    assert pair.outlet.sent == 0


def test_whatever_the_socket_says_is_a_failure_of_the_socket(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    def writev(*_: object) -> int:
        raise OSError(errno.EHOSTUNREACH, "no route")

    monkeypatch.setattr(os, "writev", writev)
    assert pair.outlet.put([b"lost"]) == []
    assert isinstance(pair.outlet.failure, ConnectionError)


def test_what_fails_otherwise_is_no_failure_of_the_socket(pair: Pair) -> None:
    def send(_: int) -> int:
        raise OSError(5, "the disk")

    with pytest.raises(OSError, match="the disk"):
        pair.outlet.pass_on(send, lambda: False)
    assert pair.outlet.failure is None


def test_a_thread_that_was_stuck_sends_to_nobody_else(pair: Pair) -> None:
    """Its connection was given up meanwhile, and others have begun."""
    stuck, goes_on = threading.Event(), threading.Event()
    used: list[int] = []

    def send(fd: int) -> int:
        used.append(fd)
        stuck.set()
        assert goes_on.wait(10)
        return os.write(fd, b"late")

    thread = threading.Thread(target=pair.outlet.pass_on, args=(send, lambda: pair.outlet.sent > 4))
    thread.start()
    assert stuck.wait(10)
    pair.outlet.close()
    pair.ours.close()
    others = [end for _ in range(20) for end in socket.socketpair()]
    goes_on.set()
    thread.join(10)
    assert pair.received(8) == b"latelate"
    assert pair.received(1) == b"", "closed when it had left"
    assert used[0] not in {end.fileno() for end in others}
    for end in others:
        end.setblocking(False)
        with pytest.raises(BlockingIOError):
            end.recv(1)
    for end in others:
        end.close()
    with pytest.raises(BackendUnavailableError):
        pair.outlet.put([b"x"])
