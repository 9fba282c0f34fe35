"""Publishing events no command led to, and following all events."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from typing import Final
from uuid import uuid4

import anyio
from loguru import logger

from bus.codec import decode_envelope, encode_envelope, is_wanted, milliseconds
from bus.contract import Broadcasted, Gap, Position
from bus.streams import keys
from bus.streams.changes import Call
from bus.streams.connection import Conversation
from bus.streams.reader import Entry, read_streams
from bus.streams.wiring import CLOCKS_SECONDS, Wiring
from domain.envelope import Envelope
from domain.errors import BusBrokenError, InvalidRequestError, MalformedEventError

_BLOCK_SECONDS: Final = 5.0
_PAUSE_SECONDS: Final = 0.2
#: How often a reader that waits shows itself, in seconds.
_SHOW_SECONDS: Final = 60.0
#: Events read at once.
_COUNT: Final = 128
#: How long a reader of some types waits when others came, in seconds: where many come, they come together then.
_LULL_SECONDS: Final = 0.01


class StreamEvents:
    """Events over Redis Streams."""

    def __init__(self, wiring: Wiring) -> None:
        self._wiring = wiring

    async def publish(self, event: Envelope) -> None:
        """Append an event to its volume's stream and the broadcast, and project it."""
        call = Call((keys.events(event.volume), keys.BROADCAST), ())
        call.event(event, encode_envelope(event))
        since = milliseconds(self._wiring.clock.now() - CLOCKS_SECONDS)
        await self._wiring.scripts.call("emit", call.keys, ("", *call.args), again=(since, *call.args))

    @asynccontextmanager
    async def follow(self, reader: str, start: Position | None = None) -> AsyncIterator[StreamSubscription]:
        """Follow the broadcast as a named reader."""
        link = self._wiring.link
        saved = registered = await link.execute("HGET", keys.READERS, reader)
        # One that was given up for dead goes on from where it was, and is told of what is gone.
        saved = saved or await link.execute("HGET", keys.READERS_EXPIRED, reader)
        first = saved.decode() if saved else start.entry if start else ""
        async with self._subscription(reader, first) as subscription:
            if not registered:
                await subscription.register()
            yield subscription

    @asynccontextmanager
    async def watch(
        self, after: Position | None = None, *, types: Collection[str] | None = None
    ) -> AsyncIterator[StreamSubscription]:
        """Follow the broadcast from a position, or from now on."""
        async with self._subscription("", after.entry if after else "", types) as subscription:
            yield subscription

    @asynccontextmanager
    async def _subscription(
        self, reader: str, start: str, types: Collection[str] | None = None
    ) -> AsyncIterator[StreamSubscription]:
        subscription = StreamSubscription(self._wiring, reader, start, types)
        if not start:
            await subscription.look()
        try:
            yield subscription
        finally:
            with anyio.CancelScope(shield=True):
                await subscription.close()


class StreamSubscription:
    """One reader's view of the broadcast; a reader without a name is not on the register."""

    def __init__(self, wiring: Wiring, reader: str, start: str, types: Collection[str] | None) -> None:
        self._wiring = wiring
        self._reader = reader
        self._types = types
        self._position = start
        self._generation = ""
        #: Id of the event that was read at the position; empty: none was.
        self._met = b""
        self._shown = 0.0
        self._reading: AsyncGenerator[Broadcasted | Gap, None] | None = None

    async def register(self) -> None:
        """Be on the register from where it begins: what comes from now on is kept for it."""
        await self.save(Position(self._position))

    async def save(self, position: Position) -> None:
        """Remember that everything up to here was dealt with."""
        if not self._reader:
            raise InvalidRequestError("a follower without a name has no place to save")
        now = int(self._wiring.clock.now() * 1000)
        await self._wiring.link.execute_all(
            [
                ("HSET", keys.READERS, self._reader, position.entry),
                ("ZADD", keys.READERS_SEEN, now, self._reader),
                ("HDEL", keys.READERS_EXPIRED, self._reader),
            ]
        )

    def __aiter__(self) -> AsyncIterator[Broadcasted | Gap]:
        """Events after the start position; reconnects when the connection is lost."""
        self._reading = self._read_on()
        return self._reading

    async def close(self) -> None:
        """Give the connection back, though the reader stopped half-way."""
        if self._reading is not None:
            await self._reading.aclose()

    async def look(self) -> Gap | None:
        """Find out whether something is gone that was not seen; without a position, begin at the end."""
        gap, position, generation = await self._wiring.scripts.call(
            "look",
            (keys.BROADCAST, keys.TRIMMED, keys.GENERATION),
            (self._position, self._generation, uuid4().hex, self._met),
        )
        if gap:
            self._met = b""
        self._position, self._generation = position.decode(), generation.decode()
        return Gap(Position(self._position)) if gap else None

    async def _read_on(self) -> AsyncGenerator[Broadcasted | Gap, None]:
        while True:
            try:
                async with self._wiring.connections.blocking(_BLOCK_SECONDS) as redis:
                    entries: Sequence[Entry] = ()
                    while True:
                        # Where events come, none is missing between them; a silence may hide a loss.
                        if not entries and (gap := await self.look()) is not None:
                            yield gap
                        await self._show()
                        entries, wanted = await self._read(redis), False
                        for entry, fields in entries:
                            self._position, self._met = entry.decode(), fields.get(b"i", b"")
                            event = self._event(fields.get(b"m", b""))
                            if event is not None:
                                wanted = True
                                yield event
                        if entries and not wanted:
                            await anyio.sleep(_LULL_SECONDS)
            except BusBrokenError as error:
                self._wiring.observer.broken("broadcast")
                logger.debug("following the broadcast: {}", error)
                await anyio.sleep(_PAUSE_SECONDS)

    async def _show(self) -> None:
        """Let the register know from time to time that this reader lives, though nothing happens."""
        now = self._wiring.clock.now()
        if not self._reader or now - self._shown < _SHOW_SECONDS:
            return
        await self._wiring.link.execute("ZADD", keys.READERS_SEEN, "XX", int(now * 1000), self._reader)
        self._shown = now

    def _event(self, data: bytes) -> Broadcasted | None:
        if not is_wanted(data, self._types):
            return None
        try:
            return Broadcasted(Position(self._position), decode_envelope(data))
        except MalformedEventError as error:
            logger.warning("broadcast {}: {}", self._position, error)
            return None

    async def _read(self, redis: Conversation) -> Sequence[Entry]:
        found = await read_streams(redis, [(keys.BROADCAST, self._position)], _COUNT, _BLOCK_SECONDS)
        return found.get(keys.BROADCAST, ())
