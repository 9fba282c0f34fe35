"""Listens for doorbells: hints over Redis pub/sub that something is worth looking at.

Rules: a doorbell may be lost, late or doubled; whoever waits for one also looks by itself from time to time.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, Final

import anyio
from loguru import logger

from bus.observer import BusObserver
from bus.streams.connection import Connections, Conversation
from domain.errors import BusBrokenError

#: How often the connection is tried, in seconds; how long a silence may last follows from it.
_LISTEN_SECONDS: Final = 5.0
_PAUSE_SECONDS: Final = 0.2

Listener = Callable[[bytes], None]


class Bells:
    """Hands messages of the subscribed channels to listeners, by their first byte."""

    def __init__(self, connections: Connections, observer: BusObserver) -> None:
        self._connections = connections
        self._observer = observer
        self._listeners: dict[str, list[Listener]] = defaultdict(list)
        self._returned: list[Callable[[], None]] = []
        #: Set once the first subscription holds; a bell rung before is not heard.
        self.listening = anyio.Event()

    def on(self, channel: str, listener: Listener) -> None:
        """Call `listener` with each message of a channel; only before `run`."""
        self._listeners[channel].append(listener)

    def on_return(self, returned: Callable[[], None]) -> None:
        """Call `returned` whenever the subscription holds again, and something may not have been heard."""
        self._returned.append(returned)

    async def run(self) -> None:
        """Listen for ever; reconnect when the connection is lost."""
        while True:
            try:
                await self._listen()
            except* BusBrokenError as errors:
                self._observer.broken("bells")
                logger.debug("doorbells: {}", errors.exceptions[0])
            await anyio.sleep(_PAUSE_SECONDS)

    async def _listen(self) -> None:
        async with self._connections.blocking(_LISTEN_SECONDS) as redis, anyio.create_task_group() as tasks:
            redis.say("SUBSCRIBE", *self._listeners)
            tasks.start_soon(self._ping, redis)
            while True:
                self._hear(await redis.hear())

    @staticmethod
    async def _ping(redis: Conversation) -> None:
        """Have Redis say something now and then, so that a dead connection is noticed."""
        while True:
            await anyio.sleep(_LISTEN_SECONDS)
            redis.say("PING")

    def _hear(self, said: Sequence[Any]) -> None:
        kind, channel, data = said[0], said[1], said[-1]
        if kind == b"message":
            self._deliver(channel.decode(), data)
        elif kind == b"subscribe" and data == len(self._listeners):
            if self.listening.is_set():
                for returned in self._returned:
                    returned()
            self.listening.set()

    def _deliver(self, channel: str, data: bytes) -> None:
        for listener in self._listeners.get(channel, ()):
            listener(data)
