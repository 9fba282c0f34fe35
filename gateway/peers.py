"""How much one peer may ask for at once, and how fast: of one port, in one process.

A peer is the address a connection comes from, or, behind a server we were told to trust, the one that server names.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Middleware

from domain.errors import TooManyError
from domain.recent import Recent

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

#: Peers remembered at most; the ones that were quiet longest are forgotten first.
_REMEMBERED: Final = 10_000
#: Seconds after which somebody with too many running requests may try again.
_RETRY_SECONDS: Final = 1.0


@dataclass(slots=True)
class _Peer:
    """What one peer does."""

    running: int
    #: Requests it may still begin at once, at the time `filled`.
    allowance: float
    filled: float


class Peers:
    """Counts requests by peer.

    Args:
        most: requests of one peer that run at once; 0: no limit.
        rate: requests a second one peer may begin, in the long run; 0: no limit. Twice as many may come at once.
    """

    def __init__(self, most: int, rate: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._rate = rate
        self._clock = clock
        #: The quietest are forgotten; one with running requests is met again at their end, and harmlessly.
        self._peers = Recent[str, _Peer](_REMEMBERED)

    @property
    def are_limited(self) -> bool:
        """Whether anybody can be refused; if not, nobody need be counted."""
        return bool(self._most or self._rate)

    @contextmanager
    def admitted(self, name: str) -> Iterator[None]:
        """Count a request in while this lasts.

        Raises:
            TooManyError: its peer has too many of them, or comes too fast.
        """
        peer = self._peer(name)
        if self._most and peer.running >= self._most:
            raise TooManyError(f"{self._most} requests are running already", retry_after_seconds=_RETRY_SECONDS)
        if self._rate:
            self._spend(peer)
        peer.running += 1
        try:
            yield
        finally:
            peer.running -= 1

    def hand_back(self, name: str) -> None:
        """Forget that a request began: it begins once more, and is counted there."""
        peer = self._peers.get(name)
        if peer is not None:
            peer.allowance = min(self._burst, peer.allowance + 1)

    def _spend(self, peer: _Peer) -> None:
        now = self._clock()
        peer.allowance = min(self._burst, peer.allowance + (now - peer.filled) * self._rate)
        peer.filled = now
        if peer.allowance < 1:
            wait = (1 - peer.allowance) / self._rate
            raise TooManyError(f"more than {self._rate:g} requests a second", retry_after_seconds=wait)
        peer.allowance -= 1

    @property
    def _burst(self) -> float:
        return max(1.0, 2 * self._rate)

    def _peer(self, name: str) -> _Peer:
        peer = self._peers.get(name)
        if peer is None:
            peer = self._peers[name] = _Peer(0, self._burst, self._clock())
        self._peers.move_to_end(name)
        return peer


def limit_peers(peers: Peers, trusted: Sequence[Network], open_paths: frozenset[str]) -> Middleware:
    """Refuse peers that ask too much with 429, before their request is looked at.

    Args:
        trusted: servers in front.
        open_paths: what everybody may ask at any time, so that whoever watches over us is never refused.
    """

    @web.middleware
    async def middleware(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        if request.path in open_paths:
            return await handler(request)
        with peers.admitted(peer_of(request.remote or "", request.headers.getall("X-Forwarded-For", ()), trusted)):
            return await handler(request)

    return middleware


def peer_of(remote: str, forwarded: Sequence[str], trusted: Sequence[Network]) -> str:
    """Who asks: the last address on the way that is no trusted server.

    Args:
        remote: where the connection comes from.
        forwarded: values of X-Forwarded-For; each server on the way added, at the end, whom it heard from.
    """
    hops = [hop.strip() for value in forwarded for hop in value.split(",")]
    peer = remote
    while hops and _is_trusted(peer, trusted):
        peer = hops.pop()
    return peer


def _is_trusted(text: str, trusted: Sequence[Network]) -> bool:
    try:
        address: Address = ip_address(text)
    except ValueError:
        return False
    return any(address in network for network in trusted)
