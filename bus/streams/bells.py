"""Listens for doorbells: hints over Redis pub/sub that something is worth looking at.

Rules: a doorbell may be lost, late or doubled; whoever waits for one also looks by itself from time to time.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Final

import anyio
from loguru import logger
from redis.asyncio.client import PubSub

from bus.observer import BusObserver
from bus.streams.connection import Connections, translated
from domain.errors import BusBrokenError

#: How long one wait for a message lasts before the connection is checked, in seconds.
_LISTEN_SECONDS: Final = 5.0
_PAUSE_SECONDS: Final = 0.2

Listener = Callable[[bytes], None]


class Bells:
    """Hands messages of the subscribed channels to listeners, by their first byte."""

    def __init__(self, connections: Connections, observer: BusObserver) -> None:
        self._connections = connections
        self._observer = observer
        self._listeners: dict[str, list[Listener]] = defaultdict(list)
        #: Set once the first subscription holds; a bell rung before is not heard.
        self.listening = anyio.Event()

    def on(self, channel: str, listener: Listener) -> None:
        """Call `listener` with each message of a channel; only before `run`."""
        self._listeners[channel].append(listener)

    async def run(self) -> None:
        """Listen for ever; reconnect when the connection is lost."""
        while True:
            try:
                await self._listen()
            except BusBrokenError as error:
                self._observer.broken("bells")
                logger.debug("doorbells: {}", error)
                await anyio.sleep(_PAUSE_SECONDS)

    async def _listen(self) -> None:
        async with self._connections.blocking(_LISTEN_SECONDS) as client:
            pubsub = client.pubsub()
            try:
                with translated():
                    await pubsub.subscribe(*self._listeners)
                while True:
                    await self._next(pubsub)
            finally:
                with anyio.CancelScope(shield=True):
                    await pubsub.aclose()  # type: ignore[no-untyped-call]

    async def _next(self, pubsub: PubSub) -> None:
        with translated():
            message = await pubsub.get_message(timeout=_LISTEN_SECONDS)
            if message is None:
                await pubsub.ping()
        if message is None:
            return
        if message["type"] == "message":
            self._deliver(message["channel"].decode(), message["data"])
        elif message["type"] == "subscribe" and message["data"] == len(self._listeners):
            self.listening.set()

    def _deliver(self, channel: str, data: bytes) -> None:
        for listener in self._listeners.get(channel, ()):
            listener(data)
