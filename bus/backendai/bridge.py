"""Carries events to Backend.AI's Redis: each once, in order, and none is lost while nobody carries.

The bridge is a named reader of our broadcast, so events wait for it. What it has sent is noted in the other Redis
in the same step, by the event's id: one that is carried again after a crash is not sent again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import anyio
from loguru import logger
from redis.asyncio import Redis
from redis.exceptions import RedisError

from bus.backendai.wire import (
    CACHE_SECONDS,
    CHANNEL,
    STREAM,
    STREAM_LENGTH,
    anycast_fields,
    broadcast_text,
    cache_key,
)
from bus.backendai.words import Anycast, Word, words
from bus.contract import Broadcasted, Bus, Gap, Lease
from domain.errors import BusError, ConflictError, PenstockError
from domain.registry import open_event

READER: Final = "bridge:backendai"
_PAUSE_SECONDS: Final = 1.0
#: How long it is remembered in the other Redis what was sent, in seconds.
_REMEMBERED_SECONDS: Final = 24 * 3600
#: KEYS: note of what was sent, stream. ARGV: seconds, length of the stream, number of words, then of each word its
#: kind, place or cache key, and text or fields.
_SEND: Final = """
if not redis.call('SET', KEYS[1], '1', 'NX', 'EX', ARGV[1]) then return 0 end
local at = 4
for _ = 1, tonumber(ARGV[3]) do
  if ARGV[at] == 'any' then
    redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[2], '*',
      'name', ARGV[at + 1], 'source', ARGV[at + 2], 'args', ARGV[at + 3])
  else
    if ARGV[at + 1] ~= '' then redis.call('SET', ARGV[at + 1], ARGV[at + 2], 'EX', ARGV[at + 3]) end
    redis.call('PUBLISH', ARGV[at], ARGV[at + 2])
  end
  at = at + 4
end
return 1
"""


class Bridge:
    """Carries our events to one Backend.AI.

    Args:
        source: whom events are said to come from.
    """

    def __init__(self, bus: Bus, peer: Redis, source: str) -> None:
        self._bus = bus
        self._peer = peer
        self._source = source
        self._send = peer.register_script(_SEND)

    async def run(self) -> None:
        """Carry for ever; of several bridges one does."""
        while True:
            try:
                async with self._bus.leases.hold(READER, wait_seconds=0) as lease:
                    await self._carry(lease)
            except ConflictError:
                pass
            except (BusError, RedisError, OSError) as error:
                logger.warning("carrying events to Backend.AI: {}", type(error).__name__)
            await anyio.sleep(_PAUSE_SECONDS)

    async def _carry(self, lease: Lease) -> None:
        # From now on, the first time; whatever happens after that waits for a bridge.
        async with self._bus.events.follow(READER) as subscription:
            logger.info("events are carried to Backend.AI")
            async for item in subscription:
                await lease.confirm()
                if isinstance(item, Gap):
                    logger.error("events were removed before they were carried to Backend.AI")
                else:
                    await self._tell(item)
                await subscription.save(item.position)

    async def _tell(self, item: Broadcasted) -> None:
        try:
            said = words(item.envelope, open_event(item.envelope))
        except PenstockError as error:
            logger.debug("an event of a later release is not carried: {}", error)
            return
        if said:
            note = f"penstock:carried:{item.envelope.id}"
            head = (_REMEMBERED_SECONDS, STREAM_LENGTH, len(said))
            await self._send(keys=[note, STREAM], args=[*head, *self._arguments(said)])

    def _arguments(self, said: Sequence[Word]) -> list[str | bytes | int]:
        found: list[str | bytes | int] = []
        for word in said:
            if isinstance(word, Anycast):
                fields = anycast_fields(word, self._source)
                found += ["any", fields[b"name"], fields[b"source"], fields[b"args"]]
            else:
                found += [CHANNEL, cache_key(word), broadcast_text(word, self._source), CACHE_SECONDS]
        return found
