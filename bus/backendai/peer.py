"""One Backend.AI's Redis: what is said and heard there. It is found and connected to as the bus's own is.

What was sent of an event is noted beside it in the same step, word by word: an event that is carried again after a
crash is not sent again, and one that went out in part goes on where it stopped.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from hashlib import sha1
from typing import Any, Final
from uuid import UUID

import anyio
from redis.exceptions import NoScriptError

from bus.backendai.wire import (
    CACHE_SECONDS,
    CHANNEL,
    STREAM,
    STREAM_LENGTH,
    anycast_fields,
    broadcast_text,
    cache_key,
    note_key,
)
from bus.backendai.words import Anycast, Broadcast, Word
from bus.observer import SilentObserver
from bus.settings import BusSettings
from bus.streams.connection import Connections, Conversation
from bus.streams.link import Argument, Link

#: How long it is remembered in the other Redis what was sent, in seconds.
_REMEMBERED_SECONDS: Final = 24 * 3600
#: How often a connection that listens is tried, in seconds.
_LISTEN_SECONDS: Final = 5.0
#: KEYS: note of what was sent, stream. ARGV: seconds, length of the stream, number of words, then of each word its
#: kind, place or cache key, and text or fields.
#:
#: Redis takes nothing back when a script fails half-way. So the note follows each word: what failed is sent by the
#: next run, what went out before it is not sent again. It is written before the first as well, because a word that
#: cannot be noted would be sent by every run. What comes twice is what the server itself forgot with the note of it
#: when it died, though somebody had heard it. That is harmless: a broadcast tells how a task is, an entry of the
#: stream what a folder is now, and both say the same the second time.
SEND: Final = """
local sent = tonumber(redis.call('GET', KEYS[1]) or '0')
redis.call('SET', KEYS[1], sent, 'EX', ARGV[1])
for word = sent + 1, tonumber(ARGV[3]) do
  local at = 4 * word
  if ARGV[at] == 'any' then
    redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[2], '*',
      'name', ARGV[at + 1], 'source', ARGV[at + 2], 'args', ARGV[at + 3])
  else
    if ARGV[at + 1] ~= '' then redis.call('SET', ARGV[at + 1], ARGV[at + 2], 'EX', ARGV[at + 3]) end
    redis.call('PUBLISH', ARGV[at], ARGV[at + 2])
  end
  redis.call('SET', KEYS[1], word, 'EX', ARGV[1])
end
return 1
"""
#: Redis names a script by the SHA-1 of its source; nothing is kept secret by it.
SEND_DIGEST: Final = sha1(SEND.encode(), usedforsecurity=False).hexdigest()


class Peer:
    """Says and hears what Backend.AI's managers do.

    Args:
        settings: where its Redis is, and how long it is waited for.
    """

    def __init__(self, settings: BusSettings) -> None:
        self._connections = Connections(settings)
        self._link = Link(self._connections, SilentObserver())

    async def run(self) -> None:
        """Keep the connection on which things are said, for ever."""
        await self._link.run()

    async def send(self, event: UUID, words: Sequence[Word], source: str) -> None:
        """Send what an event means, each word once.

        Args:
            source: whom they are said to come from.

        Raises:
            BusBrokenError: Redis is away or refuses; the same again goes on where this stopped.
        """
        arguments = [argument for word in words for argument in _arguments(word, source)]
        head = (2, note_key(str(event)), STREAM, _REMEMBERED_SECONDS, STREAM_LENGTH, len(words))
        try:
            await self._link.execute("EVALSHA", SEND_DIGEST, *head, *arguments)
        except NoScriptError:
            await self._link.execute("EVAL", SEND, *head, *arguments)

    async def say(self, word: Broadcast, source: str) -> None:
        """Broadcast what is an answer, not an event; may be heard twice.

        Raises:
            BusBrokenError: Redis is away or refuses.
        """
        await self._link.execute("PUBLISH", CHANNEL, broadcast_text(word, source))

    async def listen(self, heard: Callable[[bytes], Awaitable[None]]) -> None:
        """Hand on what is broadcast, until the connection is lost.

        Raises:
            BusBrokenError: Redis is away, refuses or was silent for some seconds; in a group, as others may be.
        """
        async with self._connections.blocking(_LISTEN_SECONDS) as redis, anyio.create_task_group() as tasks:
            redis.say("SUBSCRIBE", CHANNEL)
            tasks.start_soon(_ping, redis)
            while True:
                said: Sequence[Any] = await redis.hear()
                if said[0] == b"message":
                    await heard(said[-1])


async def _ping(redis: Conversation) -> None:
    """Have Redis say something now and then, so that a dead connection is noticed."""
    while True:
        await anyio.sleep(_LISTEN_SECONDS)
        redis.say("PING")


def _arguments(word: Word, source: str) -> Sequence[Argument]:
    if isinstance(word, Anycast):
        fields = anycast_fields(word, source)
        return "any", fields[b"name"], fields[b"source"], fields[b"args"]
    return CHANNEL, cache_key(word), broadcast_text(word, source), CACHE_SECONDS
