"""One blocking XREAD for all lanes a process owns.

Reading is stateless: the position is kept here and in the commits, never in Redis, so a lost answer or a
dropped connection loses nothing. When the set of lanes or the room in their windows changes while the read
blocks, `CLIENT UNBLOCK` from the shared connection makes it come back at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Protocol

import anyio
from loguru import logger

from bus.observer import BusObserver
from bus.streams.connection import Connections, Conversation
from bus.streams.link import Link, paired
from domain.errors import BusBrokenError

#: Longest block of one read, in seconds; nothing waits for it to end.
_BLOCK_SECONDS: Final = 5.0
_PAUSE_SECONDS: Final = 0.2
_POKE_SECONDS: Final = 0.002

#: A stream entry: id and fields.
Entry = tuple[bytes, dict[bytes, bytes]]


class Source(Protocol):
    """A stream somebody wants entries of."""

    stream: str
    #: Entries up to here were fed.
    position: str

    def room(self) -> int:
        """How many more entries are wanted now."""

    def feed(self, entries: Sequence[Entry]) -> None:
        """Take entries; moves `position`."""


class StreamReader:
    """Feeds sources from their streams."""

    def __init__(self, connections: Connections, link: Link, observer: BusObserver, count: int) -> None:
        self._connections = connections
        self._link = link
        self._observer = observer
        self._count = count
        self._sources: dict[str, Source] = {}
        self._changed = anyio.Event()
        #: Streams the read under way asks for.
        self._reading: frozenset[str] = frozenset()
        self._client_id: int | None = None

    def add(self, source: Source) -> None:
        """Start feeding a source."""
        self._sources[source.stream] = source
        self._changed.set()

    def discard(self, source: Source) -> None:
        """Stop feeding a source."""
        if self._sources.get(source.stream) is source:
            del self._sources[source.stream]

    def poke(self, source: Source) -> None:
        """Say that a source has room again. A read that asks for it already is left alone."""
        if source.stream not in self._reading:
            self._changed.set()

    async def run(self) -> None:
        """Read for ever; reconnect when the connection is lost."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._unblock)
            while True:
                try:
                    await self._read()
                except BusBrokenError as error:
                    self._observer.broken("reader")
                    logger.debug("reading lanes: {}", error)
                    await anyio.sleep(_PAUSE_SECONDS)

    async def _read(self) -> None:
        try:
            async with self._connections.blocking(_BLOCK_SECONDS) as redis:
                client_id = await redis.ask("CLIENT", "ID")
                while True:
                    await self._read_once(redis, client_id)
        finally:
            self._client_id = None

    async def _read_once(self, redis: Conversation, client_id: int) -> None:
        if self._changed.is_set():
            self._changed = anyio.Event()
        asked = [source for source in self._sources.values() if source.room() > 0]
        if not asked:
            await self._changed.wait()
            return
        self._client_id = client_id
        self._reading = frozenset(source.stream for source in asked)
        try:
            found = await read_streams(
                redis, [(source.stream, source.position) for source in asked], self._count, _BLOCK_SECONDS
            )
        finally:
            self._reading = frozenset()
        self._client_id = None
        self._feed(asked, found)

    def _feed(self, asked: Sequence[Source], found: Mapping[str, Sequence[Entry]]) -> None:
        """Hand entries to the very source they were read for: a newer one of that stream has its own position."""
        by_stream = {source.stream: source for source in asked}
        for stream, entries in found.items():
            source = by_stream[stream]
            if self._sources.get(source.stream) is source:
                source.feed(entries)

    async def _unblock(self) -> None:
        """Wake the blocked read until it has noticed; a poke may come just before Redis blocks it."""
        while True:
            changed = self._changed
            await changed.wait()
            while changed is self._changed and self._client_id is not None:
                try:
                    await self._link.execute("CLIENT", "UNBLOCK", self._client_id)
                except BusBrokenError:
                    await anyio.sleep(_PAUSE_SECONDS)
                await anyio.sleep(_POKE_SECONDS)
            if changed is self._changed:
                await anyio.sleep(_POKE_SECONDS)


async def read_streams(
    redis: Conversation, positions: Sequence[tuple[str, str]], count: int, block_seconds: float
) -> Mapping[str, Sequence[Entry]]:
    """Entries of streams behind the given positions, up to `count` of each; waits until there is one."""
    streams, after = zip(*positions, strict=True)
    block = int(block_seconds * 1000)
    answer = await redis.ask("XREAD", "COUNT", count, "BLOCK", block, "STREAMS", *streams, *after)
    return {
        stream.decode(): [(entry, paired(fields)) for entry, fields in entries] for stream, entries in answer or ()
    }


def parse_entry(entry: str) -> tuple[int, int]:
    """A stream entry id as two numbers, which compare as Redis orders them."""
    ms, _, seq = entry.partition("-")
    return int(ms), int(seq or 0)
