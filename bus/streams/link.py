"""One connection that all tasks of a process share for short commands.

Commands go out as they come, many in one write when many are there; answers come back in the same order. Compared
with a connection a task from a pool this costs a fraction under load, and nobody ever waits for a free connection.

Rules: only commands that may be repeated are sent here, because a lost connection leaves open whether they ran;
none of them blocks. A caller that is cancelled just does not hear its answer.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Sequence
from typing import Any, Final

import anyio
import hiredis
from loguru import logger
from redis import exceptions

from bus.observer import BusObserver
from bus.streams.connection import Connections, translated
from bus.streams.wire import Wire
from domain.errors import BusBrokenError

Argument = str | bytes | int | float

#: Tries of a command after the first.
_RETRIES: Final = 2
#: Longest pause before the first repetition, in seconds; doubles with each.
_RETRY_SECONDS: Final = 0.05
_PAUSE_SECONDS: Final = 0.1
#: Answers that mean this server is not, or not yet, the one to talk to.
_ELSEWHERE: Final = (
    exceptions.ReadOnlyError,
    exceptions.BusyLoadingError,
    exceptions.MasterDownError,
    exceptions.ConnectionError,
)
#: Commands sent together by `execute_all`; bounds what waits in memory.
_TOGETHER: Final = 256


class Link:
    """Sends commands and hands out their answers."""

    def __init__(self, connections: Connections, observer: BusObserver) -> None:
        self._connections = connections
        self._observer = observer
        self._patience = connections.settings.command_timeout_seconds
        self._connected = anyio.Event()
        self._wire: Wire | None = None
        #: Commands that go out at the end of this turn of the loop, together.
        self._outgoing: list[bytes] = []
        #: Who waits for an answer, and since when, in the order of the commands.
        self._waiting: deque[tuple[asyncio.Future[Any], float]] = deque()

    # --- for callers --------------------------------------------------------------------------------

    async def execute(self, *command: Argument, again: Sequence[Argument] | None = None) -> Any:
        """Send one command and wait for its answer.

        Args:
            again: what to send instead, once it is not known whether the command ran.

        Raises:
            BusBrokenError: Redis is away, does not answer in time, or refuses.
            FencedError: a script found another owner.
            redis.exceptions.NoScriptError: the script is not loaded.
        """
        return (await self._repeat([command], [command if again is None else again]))[0]

    async def execute_all(self, commands: Sequence[Sequence[Argument]]) -> Sequence[Any]:
        """Send several commands at once; raises as `execute` does if one of them fails."""
        answers: list[Any] = []
        for first in range(0, len(commands), _TOGETHER):
            some = commands[first : first + _TOGETHER]
            answers += await self._repeat(some, some)
        return answers

    async def _repeat(
        self, commands: Sequence[Sequence[Argument]], again: Sequence[Sequence[Argument]]
    ) -> Sequence[Any]:
        for attempt in range(_RETRIES):
            try:
                return await self._once(again if attempt else commands)
            except _LostError:
                await anyio.sleep(random.uniform(0, _RETRY_SECONDS * 2**attempt))  # noqa: S311  spreading load
        return await self._once(again)

    async def _once(self, commands: Sequence[Sequence[Argument]]) -> Sequence[Any]:
        if self._wire is None:
            await self._wait_connected()
        answers = [self._send(command) for command in commands]
        try:
            with translated():
                return [await answer for answer in answers]
        finally:
            for answer in answers:
                if not answer.cancel() and not answer.cancelled():
                    answer.exception()  # looked at, or asyncio complains of it

    def _send(self, command: Sequence[Argument]) -> asyncio.Future[Any]:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Any] = loop.create_future()
        if not self._outgoing:
            loop.call_soon(self._flush)
        self._outgoing.append(hiredis.pack_command(tuple(command)))  # type: ignore[arg-type]  # its stub says one
        self._waiting.append((answer, time.monotonic()))
        return answer

    def _flush(self) -> None:
        outgoing, self._outgoing = self._outgoing, []
        if outgoing and self._wire is not None:
            self._wire.write(b"".join(outgoing))

    async def _wait_connected(self) -> None:
        with anyio.move_on_after(self._patience):
            while self._wire is None:
                await self._connected.wait()
            return
        raise BusBrokenError("Redis is away: no connection")

    # --- in the background ----------------------------------------------------------------------------

    async def run(self) -> None:
        """Keep the connection, for ever."""
        while True:
            try:
                await self._serve()
            except* (exceptions.RedisError, OSError, TimeoutError) as errors:
                self._observer.broken("link")
                logger.debug("the shared connection: {}", errors.exceptions[0])
            await anyio.sleep(random.uniform(0, _PAUSE_SECONDS))  # noqa: S311  spreading load

    async def _serve(self) -> None:
        lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def lose(error: Exception) -> None:
            if not lost.done():
                lost.set_exception(error)

        async with self._connections.link(self._heard, lose) as wire:
            self._wire = wire
            self._connected.set()
            try:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(self._watch)
                    await lost
            finally:
                lost.cancel()
                self._forget()

    def _forget(self) -> None:
        """Tell everybody that waits that the connection is lost."""
        self._wire = None
        self._connected = anyio.Event()
        self._outgoing.clear()
        while self._waiting:
            answer, _ = self._waiting.popleft()
            if not answer.done():
                answer.set_exception(_LostError("the connection to Redis was lost"))

    def _heard(self, answer: Any) -> None:
        """Hand an answer to whoever waits for it; raises what says that this is not the server to talk to."""
        if isinstance(answer, _ELSEWHERE) or (isinstance(answer, Exception) and "READONLY" in str(answer)):
            raise answer
        waiter, _ = self._waiting.popleft()
        if waiter.done():
            return
        if isinstance(answer, exceptions.RedisError):
            waiter.set_exception(answer)
        else:
            waiter.set_result(answer)

    async def _watch(self) -> None:
        """Give a connection up on which no answer comes."""
        while True:
            await anyio.sleep(self._patience / 4)
            if self._waiting and time.monotonic() - self._waiting[0][1] > self._patience:
                raise TimeoutError(f"no answer within {self._patience:g} s")


def paired(flat: Sequence[bytes]) -> dict[bytes, bytes]:
    """Names and values as Redis lists them, as a dictionary."""
    return dict(zip(flat[::2], flat[1::2], strict=True))


class _LostError(BusBrokenError):
    """Whether the command ran is not known."""
