"""Builds the Redis bus of one process and runs what it needs in the background."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

from bus.contract import Bus
from bus.observer import BusObserver, SilentObserver
from bus.settings import BusSettings
from bus.streams.bells import Bells
from bus.streams.clock import RedisClock
from bus.streams.command_queue import StreamQueue
from bus.streams.connection import Connections
from bus.streams.dead_letters import StreamDeadLetters
from bus.streams.events import StreamEvents
from bus.streams.history import StreamHistory
from bus.streams.inspection import StreamInspection
from bus.streams.lanes import StreamLanes
from bus.streams.leases import StreamLeases
from bus.streams.link import Link
from bus.streams.members import StreamMembers
from bus.streams.outboxes import StreamOutboxes
from bus.streams.records import StreamCatalogue, StreamRecords
from bus.streams.scripts import Scripts
from bus.streams.signals import StreamSignals
from bus.streams.upkeep import StreamUpkeep
from bus.streams.wiring import Wiring


@asynccontextmanager
async def open_streams_bus(
    settings: BusSettings, node: str, observer: BusObserver | None = None
) -> AsyncIterator[Bus]:
    """Connect, and run readers, renewals and doorbells until the context ends.

    Args:
        node: unique name of this process; two processes of one name would take each other's leases for theirs.

    Raises:
        BusBrokenError: Redis is not there at the start. Later losses are waited out.
    """
    observer = observer or SilentObserver()
    connections = Connections(settings)
    link = Link(connections, observer)
    # Waiting for replicas holds up a whole connection, so it has one of its own.
    durable = Link(connections, observer) if settings.replicas_to_wait else link
    clock = RedisClock()
    wiring = Wiring(
        node=node,
        settings=settings,
        observer=observer,
        connections=connections,
        link=link,
        scripts=Scripts(link, durable, settings),
        clock=clock,
        bells=Bells(connections, observer),
    )
    lanes, leases, queue, members, signals = (
        StreamLanes(wiring),
        StreamLeases(wiring),
        StreamQueue(wiring),
        StreamMembers(wiring),
        StreamSignals(wiring),
    )
    await _set_clock(connections, clock)
    async with _linked(link, durable), anyio.create_task_group() as tasks:
        for background in (wiring.bells, lanes, leases):
            tasks.start_soon(background.run)
        with anyio.move_on_after(settings.connect_timeout_seconds):
            await wiring.bells.listening.wait()
        yield Bus(
            node=node,
            clock=clock,
            commands=queue,
            lanes=lanes,
            members=members,
            events=StreamEvents(wiring),
            outboxes=StreamOutboxes(wiring),
            records=StreamRecords(wiring),
            catalogue=StreamCatalogue(wiring),
            leases=leases,
            signals=signals,
            upkeep=StreamUpkeep(wiring),
            inspection=StreamInspection(wiring),
            dead_letters=StreamDeadLetters(wiring),
            history=StreamHistory(wiring),
        )
        tasks.cancel_scope.cancel()


@asynccontextmanager
async def _linked(*links: Link) -> AsyncIterator[None]:
    """Keep the shared connections until everything else has ended: what ends still has something to say."""
    async with anyio.create_task_group() as tasks:
        for link in set(links):
            tasks.start_soon(link.run)
        yield
        tasks.cancel_scope.cancel()


async def _set_clock(connections: Connections, clock: RedisClock) -> None:
    async with connections.blocking(connections.settings.connect_timeout_seconds) as redis:
        asked = time.monotonic()
        seconds, microseconds = await redis.ask("TIME")
        clock.heard(int(seconds) * 1000 + int(microseconds) // 1000, asked)
