"""Listens and asks as Backend.AI's manager does, with the code of `backend.ai-common`.

Run by `peer_backendai.py` with a Python that has that package: `backendai_listener.py HOST:PORT DB`. Prints what it
hears as JSON, a line each, and takes wishes from its input in the same form: `{"do": ..., "with": [...]}`.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

from ai.backend.common.events.dispatcher import EventDispatcher, EventProducer
from ai.backend.common.events.event_types.bgtask.broadcast import (
    BgtaskCancelledEvent,
    BgtaskDoneEvent,
    BgtaskFailedEvent,
    BgtaskPartialSuccessEvent,
    BgtaskUpdatedEvent,
)
from ai.backend.common.events.event_types.vfolder.anycast import (
    VFolderCloneFailureEvent,
    VFolderCloneSuccessEvent,
    VFolderDeletionFailureEvent,
    VFolderDeletionSuccessEvent,
)
from ai.backend.common.events.event_types.volume.broadcast import (
    DoVolumeMountEvent,
    DoVolumeUnmountEvent,
    VolumeMounted,
    VolumeUnmounted,
)
from ai.backend.common.events.fetcher import EventFetcher
from ai.backend.common.events.hub import EventHub
from ai.backend.common.events.types import EventCacheDomain
from ai.backend.common.message_queue.redis_queue import RedisMQArgs, RedisQueue
from ai.backend.common.types import AgentId, HostPortPair, RedisTarget
from backendai_watching import by_graphql, by_http

TASKS = (
    BgtaskUpdatedEvent,
    BgtaskDoneEvent,
    BgtaskFailedEvent,
    BgtaskCancelledEvent,
    BgtaskPartialSuccessEvent,
)
VOLUMES = (VolumeMounted, VolumeUnmounted)
FOLDERS = (
    VFolderCloneFailureEvent,
    VFolderCloneSuccessEvent,
    VFolderDeletionFailureEvent,
    VFolderDeletionSuccessEvent,
)


def tell(pattern: str, name: str, arguments: Any, source: str = "") -> None:
    print(json.dumps({"pattern": pattern, "name": name, "source": source, "args": arguments}), flush=True)


async def heard(pattern: str, _: None, source: str, event: Any) -> None:
    tell(pattern, event.event_name(), event.serialize(), source)


class Manager:
    """What a manager has of its message queue."""

    def __init__(self, queue: RedisQueue) -> None:
        self.dispatcher = EventDispatcher(queue)
        self._hub = EventHub()
        self._fetcher = EventFetcher(queue)
        self._producer = EventProducer(queue, source=AgentId("manager-1"))
        self._watching: set[asyncio.Task[None]] = set()
        for kind in TASKS:
            self.dispatcher.subscribe(kind, None, self._propagate)
        for kind in (*TASKS, *VOLUMES):
            self.dispatcher.subscribe(kind, None, partial(heard, "broadcast"))
        for kind in FOLDERS:
            self.dispatcher.consume(kind, None, partial(heard, "anycast"))

    async def _propagate(self, _: None, source: str, event: Any) -> None:
        await self._hub.propagate_event(event)

    async def do(self, wish: str, arguments: list[Any]) -> None:
        """See to one wish."""
        match wish:
            case "fetch":
                await self._fetch(*arguments)
            case "watch":
                for pattern, watch in (("graphql", by_graphql), ("http", by_http)):
                    following = asyncio.create_task(self._watch(pattern, watch, *arguments))
                    self._watching.add(following)
            case "mount":
                await self._producer.broadcast_event(DoVolumeMountEvent.deserialize(tuple(arguments)))
            case "unmount":
                await self._producer.broadcast_event(DoVolumeUnmountEvent.deserialize(tuple(arguments)))

    async def _fetch(self, task: str) -> None:
        event: Any = await self._fetcher.fetch_cached_event(EventCacheDomain.BGTASK.cache_id(task))
        tell("kept", event.event_name() if event else "", event.serialize() if event else ())

    async def _watch(self, pattern: str, watch: Any, task: str) -> None:
        tell(pattern, task, await watch(self._hub, self._fetcher, task))


async def wishes() -> AsyncIterator[Any]:
    """What is asked for on the input."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        yield json.loads(line)


async def main(address: str, db: int) -> None:
    host, _, port = address.partition(":")
    target = RedisTarget(addr=HostPortPair(host, int(port)), redis_helper_config={})  # type: ignore[arg-type]
    queue = await RedisQueue.create(
        target,
        RedisMQArgs(
            anycast_stream_key="events",
            broadcast_channel="events_all",
            consume_stream_keys={"events"},
            subscribe_channels={"events_all"},
            group_name="manager",
            node_id="manager-1",
            db=db,
        ),
    )
    manager = Manager(queue)
    await manager.dispatcher.start()
    print("listening", flush=True)
    async for wish in wishes():
        await manager.do(wish["do"], wish["with"])


asyncio.run(main(sys.argv[1], int(sys.argv[2])))
