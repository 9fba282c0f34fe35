"""Where Redis is: a URL of one server, or of Sentinels that know which server is the primary now.

`redis://user:password@host:port/db`, `rediss://` the same over TLS (`?ssl_ca_certs=...&ssl_certfile=...&
ssl_keyfile=...`), `unix://path?db=0`, and
`redis+sentinel://user:password@sentinel1:26379,sentinel2:26379/service/db?sentinel_username=...&
sentinel_password=...`, `rediss+sentinel://` with TLS to servers and Sentinels alike.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Self
from urllib.parse import parse_qs, unquote, urlsplit

import anyio
from redis.asyncio import ConnectionPool
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool

from domain.errors import InvalidRequestError

_PLAIN: Final = frozenset({"redis", "rediss", "unix"})
_SENTINEL: Final = frozenset({"redis+sentinel", "rediss+sentinel"})
_SENTINEL_PORT: Final = 26379
#: Query keys that are for the Sentinels alone.
_FOR_SENTINELS: Final = {"sentinel_username": "username", "sentinel_password": "password"}
_TLS_KEYS: Final = frozenset({"ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_cert_reqs", "ssl_check_hostname"})


@dataclass(frozen=True, slots=True)
class Sentinels:
    """A primary as Sentinels tell it."""

    addresses: tuple[tuple[str, int], ...]
    service: str
    #: Options of connections to the servers.
    server: Mapping[str, Any]
    #: Options of connections to the Sentinels.
    own: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Server:
    """One Redis."""

    url: str = field(repr=False)
    sentinels: Sentinels | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, url: str) -> Self:
        """Read a URL.

        Raises:
            InvalidRequestError: it is none of the forms above; its text, which may hold a password, is not told.
        """
        scheme = urlsplit(url).scheme
        if scheme in _PLAIN:
            return cls(url)
        if scheme in _SENTINEL:
            return cls(url, _sentinels(url))
        raise InvalidRequestError(
            "bus.url must start with redis://, rediss://, unix://, redis+sentinel:// or rediss+sentinel://",
            field="bus.url",
        )

    @asynccontextmanager
    async def reached(self, options: Mapping[str, Any], patience_seconds: float) -> AsyncIterator[Reached]:
        """Make pools of connections to the server, or to what is the primary when a connection is made.

        Args:
            options: what redis-py takes for every connection.
            patience_seconds: longest wait for a Sentinel.
        """
        if self.sentinels is None:
            yield Reached(self, options, None)
            return
        patience = {"socket_timeout": patience_seconds, "socket_connect_timeout": patience_seconds}
        own = {**patience, "driver_info": options["driver_info"], **self.sentinels.own}
        sentinel = Sentinel(list(self.sentinels.addresses), sentinel_kwargs=own)  # type: ignore[no-untyped-call]
        try:
            yield Reached(self, options, sentinel)
        finally:
            with anyio.CancelScope(shield=True):
                for client in sentinel.sentinels:
                    await client.aclose()


@dataclass(frozen=True, slots=True)
class Reached:
    """A way to the server."""

    server: Server
    options: Mapping[str, Any]
    sentinel: Sentinel | None

    def pool(self, socket_timeout: float | None) -> ConnectionPool:
        """A pool whose connections wait so long for an answer; None: for ever."""
        options = {**self.options, "socket_timeout": socket_timeout}
        told = self.server.sentinels
        if told is None:
            return ConnectionPool.from_url(self.server.url, **options)
        return SentinelConnectionPool(told.service, self.sentinel, **options, **told.server)  # type: ignore[no-untyped-call]


def _sentinels(url: str) -> Sentinels:
    parts = urlsplit(url)
    user, _, hosts = parts.netloc.rpartition("@")
    service, _, database = parts.path.strip("/").partition("/")
    addresses = tuple(_address(host) for host in hosts.split(",") if host)
    if not addresses or not service or not (database or "0").isdigit():
        raise InvalidRequestError(
            "bus.url of Sentinels must look like redis+sentinel://host:26379,host:26379/service/0", field="bus.url"
        )
    query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    tls: dict[str, Any] = {}
    if parts.scheme.startswith("rediss"):
        tls = {"ssl": True, **{name: value for name, value in query.items() if name in _TLS_KEYS}}
    name, _, password = user.partition(":")
    server = {"db": int(database or 0), **tls}
    if name:
        server["username"] = unquote(name)
    if password:
        server["password"] = unquote(password)
    own = {ours: query[theirs] for theirs, ours in _FOR_SENTINELS.items() if theirs in query}
    return Sentinels(addresses, service, server, {**own, **tls})


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":") if ":" in text else (text, "", "")
    if not host or not (port or "1").isdigit():
        raise InvalidRequestError("bus.url: a Sentinel's address is host:port", field="bus.url")
    return host, int(port or _SENTINEL_PORT)
