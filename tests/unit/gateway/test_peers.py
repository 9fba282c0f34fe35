"""Limits per peer."""

from __future__ import annotations

from contextlib import ExitStack, suppress
from ipaddress import ip_network

import pytest

from domain.errors import TooManyError
from gateway.peers import Peers, peer_of

OURS = [ip_network("10.0.0.0/8"), ip_network("fd00::/8")]


class Clock:
    """A clock that is set."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_so_many_at_once() -> None:
    peers = Peers(2, 0)
    with ExitStack() as running:
        running.enter_context(peers.admitted("a"))
        running.enter_context(peers.admitted("a"))
        with pytest.raises(TooManyError), peers.admitted("a"):
            raise AssertionError("a third one ran")
        running.enter_context(peers.admitted("b"))
    with peers.admitted("a"):
        pass


def test_so_many_a_second() -> None:
    clock = Clock()
    peers = Peers(0, 4, clock)

    def begin(count: int) -> int:
        begun = 0
        for _ in range(count):
            with suppress(TooManyError), peers.admitted("a"):
                begun += 1
        return begun

    assert begin(20) == 8, "twice the rate may come at once"
    with pytest.raises(TooManyError) as caught, peers.admitted("a"):
        raise AssertionError("a ninth one ran")
    assert 0 < caught.value.retry_after_seconds <= 0.25
    clock.now += 0.5
    assert begin(20) == 2
    clock.now += 1000
    assert begin(20) == 8


def test_without_limits_nothing_is_refused() -> None:
    peers = Peers(0, 0)
    assert not peers.are_limited
    assert Peers(1, 0).are_limited
    assert Peers(0, 1).are_limited
    with ExitStack() as running:
        for _ in range(1000):
            running.enter_context(peers.admitted("a"))


def test_ever_new_peers_take_no_more_memory() -> None:
    peers = Peers(1, 1)
    for number in range(30_000):
        with peers.admitted(str(number)):
            pass
    assert len(peers._peers) == 10_000


@pytest.mark.parametrize(
    ("remote", "forwarded", "expected"),
    [
        ("192.0.2.1", [], "192.0.2.1"),
        ("192.0.2.1", ["198.51.100.7"], "192.0.2.1"),
        ("10.0.0.1", ["198.51.100.7"], "198.51.100.7"),
        ("10.0.0.1", ["1.2.3.4, 198.51.100.7"], "198.51.100.7"),
        ("10.0.0.1", ["1.2.3.4", "198.51.100.7, 10.1.1.1"], "198.51.100.7"),
        ("10.0.0.1", ["10.9.9.9"], "10.9.9.9"),
        ("fd00::1", ["2001:db8::7"], "2001:db8::7"),
        ("10.0.0.1", ["nonsense"], "nonsense"),
        ("", ["198.51.100.7"], ""),
    ],
)
def test_who_asks(remote: str, forwarded: list[str], expected: str) -> None:
    assert peer_of(remote, forwarded, OURS) == expected
