"""Follows background tasks in the two ways of Backend.AI's manager, with what it has of `backend.ai-common`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from ai.backend.common.events.event_types.bgtask.broadcast import (
    BaseBgtaskEvent,
    BgtaskCancelledEvent,
    BgtaskDoneEvent,
    BgtaskFailedEvent,
    BgtaskUpdatedEvent,
)
from ai.backend.common.events.fetcher import EventFetcher
from ai.backend.common.events.hub import EventHub
from ai.backend.common.events.hub.propagators import WithCachePropagator
from ai.backend.common.events.types import AbstractEvent, EventCacheDomain, EventDomain

#: What a manager's GraphQL subscription ends at; what is neither of these nor an update is passed over.
ENDS = (BgtaskDoneEvent, BgtaskCancelledEvent, BgtaskFailedEvent)

Seen = list[tuple[str, str]]


@asynccontextmanager
async def following(hub: EventHub, fetcher: EventFetcher, task: str) -> AsyncIterator[AsyncIterator[AbstractEvent]]:
    """Events of a task: the last one that is kept, then those that come."""
    propagator = WithCachePropagator(fetcher)
    hub.register_event_propagator(propagator, [(EventDomain.BGTASK, task)])
    try:
        yield propagator.receive(EventCacheDomain.BGTASK.cache_id(task))
    finally:
        hub.unregister_event_propagator(propagator.id())


async def by_graphql(hub: EventHub, fetcher: EventFetcher, task: str) -> Seen:
    """What a subscriber over GraphQL is shown, until it is shown an end."""
    seen: Seen = []
    async with following(hub, fetcher, task) as events:
        async for event in events:
            if isinstance(event, BgtaskUpdatedEvent | BgtaskDoneEvent | BgtaskCancelledEvent | BgtaskFailedEvent):
                seen.append((event.event_name(), event.message or ""))
            if isinstance(event, ENDS):
                return seen
    raise AssertionError("it ended without an end")


async def by_http(hub: EventHub, fetcher: EventFetcher, task: str) -> Seen:
    """What a client of the event stream over HTTP is shown, until it is shown an end."""
    seen: Seen = []
    async with following(hub, fetcher, task) as events:
        async for event in events:
            assert isinstance(event, BaseBgtaskEvent)
            shown: Any = event.user_event()
            seen.append((shown.event_name(), shown.user_event_mapping()["message"]))
            if shown.is_close_event():
                return seen
    raise AssertionError("it ended without an end")
