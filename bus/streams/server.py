"""Where Redis is: a URL of one server, or of Sentinels that know which server is the primary now.

`redis://user:password@host:port/db`, `rediss://` the same over TLS (`?ssl_ca_certs=...&ssl_certfile=...&
ssl_keyfile=...`), `unix://path?db=0`, and
`redis+sentinel://user:password@sentinel1:26379,sentinel2:26379/service/db?sentinel_username=...&
sentinel_password=...`, `rediss+sentinel://` with TLS to servers and Sentinels alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self
from urllib.parse import parse_qs, unquote, urlsplit

from redis.asyncio import Connection, ConnectionPool, SSLConnection

from bus.streams.sentinels import Address, Sentinels
from domain.errors import InvalidRequestError

_PLAIN: Final = frozenset({"redis", "rediss", "unix"})
_SENTINEL: Final = frozenset({"redis+sentinel", "rediss+sentinel"})
_SENTINEL_PORT: Final = 26379
#: Query keys that are for the Sentinels alone.
_FOR_SENTINELS: Final = {"sentinel_username": "username", "sentinel_password": "password"}
_TLS_KEYS: Final = frozenset({"ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_cert_reqs", "ssl_check_hostname"})


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

    async def pool(self, options: Mapping[str, Any], patience_seconds: float) -> ConnectionPool:
        """A pool of connections to the server, or to what is the primary now.

        Args:
            options: what redis-py takes for every connection.
            patience_seconds: longest wait for the Sentinels.

        Raises:
            redis.exceptions.ConnectionError: no Sentinel answers, or none knows a primary.
        """
        told = self.sentinels
        if told is None:
            return ConnectionPool.from_url(self.url, **options)
        host, port = await told.primary(options["driver_info"], patience_seconds)
        return ConnectionPool(
            connection_class=SSLConnection if told.tls else Connection,
            host=host,
            port=port,
            **options,
            **told.server,
            **told.tls,
        )


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
        tls = {"ssl_cert_reqs": "required"} | {name: value for name, value in query.items() if name in _TLS_KEYS}
    name, _, password = user.partition(":")
    server: dict[str, Any] = {"db": int(database or 0)}
    if name:
        server["username"] = unquote(name)
    if password:
        server["password"] = unquote(password)
    own = {ours: query[theirs] for theirs, ours in _FOR_SENTINELS.items() if theirs in query}
    return Sentinels(addresses, service, server, own, tls)


def _address(text: str) -> Address:
    host, _, port = text.rpartition(":") if ":" in text else (text, "", "")
    if not host or not (port or "1").isdigit():
        raise InvalidRequestError("bus.url: a Sentinel's address is host:port", field="bus.url")
    return host, int(port or _SENTINEL_PORT)
