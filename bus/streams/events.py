"""Publishing events no command led to, and following all events."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import anyio
from loguru import logger
from redis.asyncio import Redis

from bus.codec import decode_envelope
from bus.contract import Broadcasted, Position
from bus.streams import keys
from bus.streams.changes import Call
from bus.streams.connection import translated
from bus.streams.wiring import Wiring
from domain.envelope import Envelope
from domain.errors import BusBrokenError, MalformedEventError

_BLOCK_SECONDS: Final = 5.0
_PAUSE_SECONDS: Final = 0.2
#: How often a reader that waits shows itself, in seconds.
_SHOW_SECONDS: Final = 60.0
#: Events read at once.
_COUNT: Final = 128


class StreamEvents:
    """Events over Redis Streams."""

    def __init__(self, wiring: Wiring) -> None:
        self._wiring = wiring

    async def publish(self, event: Envelope) -> None:
        """Append an event to its volume's stream and the broadcast, and project it."""
        call = Call((keys.events(event.volume), keys.BROADCAST), ())
        call.event(event)
        await self._wiring.scripts.call("emit", call.keys, call.args)

    @asynccontextmanager
    async def follow(self, reader: str) -> AsyncIterator[StreamSubscription]:
        """Follow the broadcast as a named reader."""
        saved = await self._wiring.link.execute("HGET", keys.READERS, reader)
        start = saved.decode() if saved else await self._tail()
        subscription = StreamSubscription(self._wiring, reader, start)
        try:
            yield subscription
        finally:
            with anyio.CancelScope(shield=True):
                await subscription.close()

    async def _tail(self) -> str:
        newest = await self._wiring.link.execute("XREVRANGE", keys.BROADCAST, "+", "-", "COUNT", 1)
        return newest[0][0].decode() if newest else "0-0"


class StreamSubscription:
    """One reader's view of the broadcast."""

    def __init__(self, wiring: Wiring, reader: str, start: str) -> None:
        self._wiring = wiring
        self._reader = reader
        self._position = start
        self._shown = 0.0
        self._reading: AsyncGenerator[Broadcasted, None] | None = None

    async def save(self, position: Position) -> None:
        """Remember that everything up to here was dealt with."""
        now = int(self._wiring.clock.now() * 1000)
        await self._wiring.link.execute_all(
            [
                ("HSET", keys.READERS, self._reader, position.entry),
                ("ZADD", keys.READERS_SEEN, now, self._reader),
            ]
        )

    def __aiter__(self) -> AsyncIterator[Broadcasted]:
        """Events after the start position; reconnects when the connection is lost."""
        self._reading = self._read_on()
        return self._reading

    async def close(self) -> None:
        """Give the connection back, though the reader stopped half-way."""
        if self._reading is not None:
            await self._reading.aclose()

    async def _read_on(self) -> AsyncGenerator[Broadcasted, None]:
        while True:
            try:
                async with self._wiring.connections.blocking(_BLOCK_SECONDS) as client:
                    while True:
                        await self._show()
                        for entry, fields in await self._read(client):
                            self._position = entry.decode()
                            event = self._event(fields)
                            if event is not None:
                                yield event
            except BusBrokenError as error:
                self._wiring.observer.broken("broadcast")
                logger.debug("following the broadcast: {}", error)
                await anyio.sleep(_PAUSE_SECONDS)

    async def _show(self) -> None:
        """Let the register know from time to time that this reader lives, though nothing happens."""
        now = self._wiring.clock.now()
        if now - self._shown < _SHOW_SECONDS:
            return
        await self._wiring.link.execute("ZADD", keys.READERS_SEEN, "XX", int(now * 1000), self._reader)
        self._shown = now

    def _event(self, fields: dict[bytes, bytes]) -> Broadcasted | None:
        try:
            return Broadcasted(Position(self._position), decode_envelope(fields.get(b"m", b"")))
        except MalformedEventError as error:
            logger.warning("broadcast {}: {}", self._position, error)
            return None

    async def _read(self, client: Redis) -> Any:
        with translated():
            answer = await client.xread(
                {keys.BROADCAST: self._position}, count=_COUNT, block=int(_BLOCK_SECONDS * 1000)
            )
        return answer[0][1] if answer else ()
