"""Listens as Backend.AI's manager does, with the code of `backend.ai-common`, and prints what it hears as JSON.

Run by `test_backendai.py` with a Python that has that package: `backendai_listener.py HOST:PORT DB`.
"""

from __future__ import annotations

import asyncio
import json
import sys
from functools import partial
from typing import Any

from ai.backend.common.events.dispatcher import EventDispatcher
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
from ai.backend.common.message_queue.redis_queue import RedisMQArgs, RedisQueue
from ai.backend.common.types import HostPortPair, RedisTarget

BROADCAST = (
    BgtaskUpdatedEvent,
    BgtaskDoneEvent,
    BgtaskFailedEvent,
    BgtaskCancelledEvent,
    BgtaskPartialSuccessEvent,
)
ANYCAST = (
    VFolderCloneFailureEvent,
    VFolderCloneSuccessEvent,
    VFolderDeletionFailureEvent,
    VFolderDeletionSuccessEvent,
)


async def heard(pattern: str, _: None, source: str, event: Any) -> None:
    told = {"pattern": pattern, "name": event.event_name(), "source": source, "args": event.serialize()}
    print(json.dumps(told), flush=True)


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
    dispatcher = EventDispatcher(queue)
    for kind in BROADCAST:
        dispatcher.subscribe(kind, None, partial(heard, "broadcast"))
    for kind in ANYCAST:
        dispatcher.consume(kind, None, partial(heard, "anycast"))
    await dispatcher.start()
    print("listening", flush=True)
    await asyncio.sleep(3600)


asyncio.run(main(sys.argv[1], int(sys.argv[2])))
