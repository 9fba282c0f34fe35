"""Connections to Redis, and the translation of its errors.

Short commands share one connection, see `bus.streams.link`. Every blocking read has a connection of its own whose
socket timeout is longer than the block: a shorter one would hand entries to a dead socket and retry for minutes.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final

import anyio
import hiredis
from redis import DriverInfo, __version__, exceptions
from redis.asyncio import ConnectionPool
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from bus.settings import BusSettings
from bus.streams.server import Server
from bus.streams.wire import Wire
from domain.errors import BusBrokenError, FencedError

#: What a connection tells the server of its client library. Made once, because redis-py would else look its
#: version up on disk for every new connection.
_DRIVER: Final = DriverInfo(lib_version=__version__)
#: How much longer than its block a blocking read waits before it takes the connection for dead, in seconds.
_BLOCK_MARGIN_SECONDS: Final = 5.0
#: Answers that may wait to be heard; more are not taken from Redis.
_MOST_UNHEARD: Final = 1000


class Connections:
    """Makes connections to one Redis, wherever its Sentinels say it is."""

    def __init__(self, settings: BusSettings) -> None:
        self.settings = settings
        self._server = Server.parse(settings.url.get_secret_value())

    @asynccontextmanager
    async def link(self, heard: Callable[[Any], None], lost: Callable[[Exception], None]) -> AsyncIterator[Wire]:
        """An open connection whose answers and end are told as they come; who uses it watches the time."""
        connection = await self._connected(None)
        try:
            yield Wire(connection, heard, lost)
        finally:
            await _close(connection)

    @asynccontextmanager
    async def blocking(self, block_seconds: float) -> AsyncIterator[Conversation]:
        """A connection of its own for one task that blocks up to this long; closed even when cancelled."""
        patience = block_seconds + _BLOCK_MARGIN_SECONDS
        with translated():
            connection = await self._connected(patience)
        try:
            yield Conversation(connection, patience)
        finally:
            await _close(connection)

    async def _connected(self, socket_timeout: float | None) -> AbstractConnection:
        pool = await self._pool(socket_timeout)
        connection: AbstractConnection = pool.make_connection()  # type: ignore[no-untyped-call]
        try:
            with anyio.fail_after(self.settings.connect_timeout_seconds):
                await connection.connect()  # type: ignore[no-untyped-call]
        except BaseException:
            await _close(connection)
            raise
        return connection

    async def _pool(self, socket_timeout: float | None) -> ConnectionPool:
        patience = self.settings.connect_timeout_seconds
        options: dict[str, Any] = {
            "protocol": 2,
            "socket_timeout": socket_timeout,
            "socket_connect_timeout": patience,
            "socket_keepalive": True,
            "health_check_interval": 0,
            # A lost connection is told to who reads on it: it has to say anew who it is.
            "retry": Retry(NoBackoff(), 0),
            "client_name": "penstock",
            "driver_info": _DRIVER,
        }
        return await self._server.pool(options, patience)


class Conversation:
    """Commands and answers on a connection nobody else uses. What is said may block, and is said once.

    Args:
        patience_seconds: silence after which the connection is taken for dead.
    """

    def __init__(self, connection: AbstractConnection, patience_seconds: float) -> None:
        self._wire = Wire(connection, self._heard, self._lost)
        self._loop = asyncio.get_running_loop()
        self._patience = patience_seconds
        self._answers: deque[Any] = deque()
        self._waiter: asyncio.Future[None] | None = None

    async def ask(self, *command: str | bytes | int) -> Any:
        """Say a command and wait for its answer.

        Raises:
            BusBrokenError: Redis is away, refuses, or did not answer within the block and some seconds.
        """
        self.say(*command)
        return await self.hear()

    def say(self, *command: str | bytes | int) -> None:
        """Send a command."""
        self._wire.write(hiredis.pack_command(command))  # type: ignore[arg-type]  # its stub says one

    async def hear(self) -> Any:
        """Wait for the next thing Redis says."""
        with translated():
            if not self._answers:
                self._wire.resume()
                await self._wait()
            answer = self._answers.popleft()
            if isinstance(answer, Exception):
                raise answer
            return answer

    async def _wait(self) -> None:
        self._waiter = self._loop.create_future()
        timer = self._loop.call_later(self._patience, self._lost, TimeoutError("no answer"))
        try:
            await self._waiter
        finally:
            timer.cancel()

    def _heard(self, answer: Any) -> None:
        self._answers.append(answer)
        if len(self._answers) >= _MOST_UNHEARD:
            self._wire.pause()
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _lost(self, error: Exception) -> None:
        """What was said before is heard first."""
        self._heard(error)


async def _close(connection: AbstractConnection) -> None:
    with anyio.CancelScope(shield=True):
        await connection.disconnect(nowait=True)


@contextmanager
def translated() -> Iterator[None]:
    """Turn what redis-py raises into the bus's own errors."""
    try:
        yield
    except exceptions.NoScriptError:
        raise
    except exceptions.ResponseError as error:
        message = str(error)
        if message.startswith("FENCED"):
            raise FencedError(message) from error
        raise BusBrokenError(f"Redis refuses: {message[:200]}") from error
    except (exceptions.RedisError, OSError, TimeoutError) as error:
        raise BusBrokenError(f"Redis is away: {type(error).__name__}: {str(error)[:200]}") from error
