"""Connections to Redis, and the translation of its errors.

Short commands share a bounded pool. Every blocking read has a connection of its own whose socket timeout is
longer than the block: a shorter one would hand entries to a dead socket and retry for minutes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final
from urllib.parse import urlsplit

import anyio
from redis import DriverInfo, __version__, exceptions
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialWithJitterBackoff

from bus.settings import BusSettings
from domain.errors import BusBrokenError, FencedError, InvalidRequestError

#: What a connection tells the server of its client library. Made once, because redis-py would else look its
#: version up on disk for every new connection.
_DRIVER: Final = DriverInfo(lib_version=__version__)
#: How much longer than its block a blocking read waits before it takes the connection for dead, in seconds.
_BLOCK_MARGIN_SECONDS: Final = 5.0
#: Tries of a short command after the first; all of them are scripts or reads, so a repetition does no harm.
_RETRIES: Final = 2


class Connections:
    """Makes clients for one Redis."""

    def __init__(self, settings: BusSettings) -> None:
        self._settings = settings
        self._url = settings.url.get_secret_value()
        if urlsplit(self._url).scheme not in ("redis", "rediss", "unix"):
            raise InvalidRequestError("bus.url must start with redis://, rediss:// or unix://", field="bus.url")

    def shared(self) -> Redis:
        """A client for short commands from many tasks."""
        pool = BlockingConnectionPool.from_url(
            self._url,
            max_connections=self._settings.max_connections,
            timeout=self._settings.connect_timeout_seconds,
            **self._options(self._settings.command_timeout_seconds),
        )
        return Redis.from_pool(pool)

    @asynccontextmanager
    async def blocking(self, block_seconds: float) -> AsyncIterator[Redis]:
        """A client of its own for one task that blocks up to this long; closed even when cancelled."""
        options = self._options(block_seconds + _BLOCK_MARGIN_SECONDS)
        client: Redis = Redis.from_url(self._url, single_connection_client=True, **options)
        try:
            yield client
        finally:
            with anyio.CancelScope(shield=True):
                await client.aclose()

    def _options(self, socket_timeout: float) -> dict[str, Any]:
        return {
            "protocol": 2,
            "socket_timeout": socket_timeout,
            "socket_connect_timeout": self._settings.connect_timeout_seconds,
            "socket_keepalive": True,
            "health_check_interval": 0,
            "retry": Retry(ExponentialWithJitterBackoff(base=0.02, cap=0.5), _RETRIES),
            "client_name": "penstock",
            "driver_info": _DRIVER,
        }


@contextmanager
def translated() -> Iterator[None]:
    """Turn what redis-py raises into the bus's own errors."""
    try:
        yield
    except exceptions.ResponseError as error:
        message = str(error)
        if message.startswith("FENCED"):
            raise FencedError(message) from error
        raise BusBrokenError(f"Redis refuses: {message[:200]}") from error
    except (exceptions.RedisError, OSError, TimeoutError) as error:
        raise BusBrokenError(f"Redis is away: {type(error).__name__}: {str(error)[:200]}") from error
