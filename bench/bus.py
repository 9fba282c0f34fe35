"""The bus alone against what else can be built on Redis: enqueue, handle and commit, and handing lanes over.

Handlers do nothing; messages are 256 bytes. The peers promise less: a raw stream with a group has no order, no
fence, no deduplication, no reply; FastStream and dramatiq likewise. One worker process each, on the same Redis.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import anyio
import redis.asyncio

from bench.comparison import Aim, Comparison
from bench.servers import redis_server
from bus.contract import Bus, Lane, Outcome, Verdict
from bus.settings import BusSettings
from bus.streams import open_streams_bus
from domain.commands import CreateVFolder
from domain.envelope import Envelope, Reply, wrap_command
from domain.ids import QuotaScopeId, VFolderId, VolumeName, uuid7

_SCOPE = QuotaScopeId.parse("user:11111111-1111-4111-8111-111111111111")
_PAYLOAD = b"x" * 256
_LANES = (1, 8, 64, 256, 1000)
#: More than one read brings.
_AS_THEY_COME = 1_000_000


def bus(folder: Path, count: int, rounds: int) -> Iterator[Comparison]:
    """Everything about the bus."""
    with redis_server(folder) as url:
        yield from _enqueue(url, count, rounds)
        yield from _handle(url, 4 * count, rounds)
        yield _growth(url, count, rounds)
        yield _handover(url, rounds)


def _ran(comparison: Comparison, rounds: int) -> Comparison:
    comparison.run(rounds)
    return comparison


def _enqueue(url: str, count: int, rounds: int) -> Iterator[Comparison]:
    for waiting, aim in ((1, 0.7), (32, 0.0)):
        yield _ran(
            Comparison(
                f"commands accepted, {waiting} at once",
                "1/s",
                {
                    "Penstock": lambda w=waiting: count / anyio.run(_publish, url, count, w),
                    "XADD": lambda w=waiting: count / anyio.run(_xadd, url, count, w),
                },
                [Aim("XADD", aim)] if aim else [],
            ),
            rounds,
        )


def _handle(url: str, count: int, rounds: int) -> Iterator[Comparison]:
    for lanes, batch, aim in ((1, 1, 0.65), (8, 1, 1.2), (64, 16, 6.0)):
        contestants = {
            "Penstock": lambda n=lanes, b=batch: count / anyio.run(_lanes, url, count, n, b),
            "XREADGROUP, XACK each": lambda: count / anyio.run(_group, url, count),
        }
        name = f"commands handled, {lanes} lanes, committed {batch} at a time"
        yield _ran(Comparison(name, "1/s", contestants, [Aim("XREADGROUP, XACK each", aim)]), rounds)
    frameworks = {
        "Penstock": lambda: count / anyio.run(_lanes, url, count, 8, _AS_THEY_COME),
        "FastStream": lambda: count / asyncio.run(_faststream(url, count)),
        "dramatiq": lambda: count / 4 / _dramatiq(url, count // 4),
    }
    # As an actor does: what was handled since the last commit is committed together.
    name = "commands handled, 8 lanes, committed as they come"
    yield _ran(Comparison(name, "1/s", frameworks, [Aim("FastStream", 3.0), Aim("dramatiq", 7.0)]), rounds)


def _growth(url: str, count: int, rounds: int) -> Comparison:
    contestants = {
        f"{lanes} volumes": lambda n=lanes: 1e6 * anyio.run(_lanes, url, max(count, n), n, 1) / max(count, n)
        for lanes in _LANES
    }
    name = "cost of a command by number of volumes"
    return _ran(Comparison(name, "us", contestants, less_is_better=True), rounds)


def _handover(url: str, rounds: int) -> Comparison:
    settings = _settings(url)
    contestants = {
        "graceful": lambda: 1000 * anyio.run(_hand_over, settings, True),
        "after kill -9": lambda: 1000 * anyio.run(_hand_over, settings, False),
    }
    name = f"a lane without an owner, lease {settings.lease_seconds:g} s"
    return _ran(Comparison(name, "ms", contestants, less_is_better=True), rounds)


# --- Penstock -----------------------------------------------------------------------------------------------


def _settings(url: str) -> BusSettings:
    return BusSettings.model_validate({"url": url, "queue_limit": 1_000_000, "lease_seconds": 1.0})


def _command(bus: Bus, volume: VolumeName) -> Envelope:
    now = bus.clock.now()
    command = CreateVFolder(folder=VFolderId(_SCOPE, uuid4()))
    return wrap_command(command, id=uuid7(int(now * 1000), os.urandom(10)), volume=volume, time=now)


async def _publish(url: str, count: int, waiting: int) -> float:
    """Seconds to have so many commands accepted; making them is not counted."""
    async with open_streams_bus(_settings(url), f"bench.{uuid4().hex}") as bus:
        volume = VolumeName(f"v{uuid4().hex[:12]}")
        commands = iter([_command(bus, volume) for _ in range(count)])

        async def publish() -> None:
            for command in commands:
                await bus.commands.publish(command)

        start = time.perf_counter()
        async with anyio.create_task_group() as tasks:
            for _ in range(waiting):
                tasks.start_soon(publish)
        return time.perf_counter() - start


async def _lanes(url: str, count: int, lanes: int, batch: int) -> float:
    """Seconds to receive and commit so many commands, spread over so many lanes."""
    async with open_streams_bus(_settings(url), f"bench.{uuid4().hex}") as bus:
        prefix = uuid4().hex[:12]
        volumes = [VolumeName(f"v{prefix}-{number}") for number in range(lanes)]
        async with anyio.create_task_group() as filling:
            for part in range(32):
                filling.start_soon(_fill, bus, [volumes[n % lanes] for n in range(part, count, 32)])
        left = [count]
        done = anyio.Event()
        start = time.perf_counter()
        async with anyio.create_task_group() as tasks:
            for volume in volumes:
                tasks.start_soon(_consume, bus, volume, batch, left, done)
            await done.wait()
            elapsed = time.perf_counter() - start
            tasks.cancel_scope.cancel()
        return elapsed


async def _fill(bus: Bus, volumes: list[VolumeName]) -> None:
    for volume in volumes:
        await bus.commands.publish(_command(bus, volume))


async def _consume(bus: Bus, volume: VolumeName, batch: int, left: list[int], done: anyio.Event) -> None:
    lane: Lane | None = await bus.lanes.acquire(volume)
    if lane is None:
        raise RuntimeError(f"{volume} is taken")
    while True:
        outcomes = [Outcome(delivery, Verdict.DONE, Reply(delivery.id)) for delivery in await lane.receive()]
        for first in range(0, len(outcomes), batch):
            part = outcomes[first : first + batch]
            await lane.commit(part)
            left[0] -= len(part)
        if left[0] <= 0:
            done.set()


async def _hand_over(settings: BusSettings, graceful: bool) -> float:
    """Seconds from the end of one owner to the first command received by the next."""
    volume = VolumeName(f"v{uuid4().hex[:12]}")
    async with open_streams_bus(settings, f"next.{uuid4().hex}") as following:
        async with open_streams_bus(settings, f"first.{uuid4().hex}") as bus, bus.members.join(frozenset({volume})):
            lane = await bus.lanes.acquire(volume)
            await following.commands.publish(_command(following, volume))
            if lane is None:
                raise RuntimeError("taken")
            await lane.receive()
            start = time.perf_counter()
            if graceful:
                await lane.release()
        # Leaving the context without releasing ends renewals, as a kill does.
        while (taken := await following.lanes.acquire(volume)) is None:
            await following.members.wait_change(settings.lease_seconds / 4)
        await taken.receive()
        return time.perf_counter() - start


# --- peers --------------------------------------------------------------------------------------------------


async def _xadd(url: str, count: int, waiting: int) -> float:
    stream = f"bench:{uuid4().hex}"
    numbers = iter(range(count))
    async with redis.asyncio.Redis.from_url(url, max_connections=waiting + 1) as client:

        async def publish() -> None:
            for _ in numbers:
                await client.xadd(stream, {b"m": _PAYLOAD})

        await client.ping()
        start = time.perf_counter()
        async with anyio.create_task_group() as tasks:
            for _ in range(waiting):
                tasks.start_soon(publish)
        return time.perf_counter() - start


async def _group(url: str, count: int) -> float:
    stream = f"bench:{uuid4().hex}"
    async with redis.asyncio.Redis.from_url(url) as client:
        await client.xgroup_create(stream, "g", id="0", mkstream=True)
        async with client.pipeline(transaction=False) as pipe:
            for _ in range(count):
                pipe.xadd(stream, {b"m": _PAYLOAD})
            await pipe.execute()
        left = count
        start = time.perf_counter()
        while left:
            for _, entries in await client.xreadgroup("g", "c", {stream: ">"}, count=64):
                for entry, _ in entries:
                    await client.xack(stream, "g", entry)
                left -= len(entries)
        return time.perf_counter() - start


async def _faststream(url: str, count: int) -> float:
    from faststream.redis import RedisBroker, StreamSub

    stream = f"bench:{uuid4().hex}"
    broker = RedisBroker(url, logger=None)
    left, done = [count], asyncio.Event()

    @broker.subscriber(stream=StreamSub(stream, group="g", consumer="c", max_records=64))
    async def handle(message: str) -> None:
        del message
        left[0] -= 1
        if not left[0]:
            done.set()

    async with redis.asyncio.Redis.from_url(url) as client:
        await client.xgroup_create(stream, "g", id="0", mkstream=True)
    async with broker:
        for _ in range(count):
            await broker.publish(_PAYLOAD.decode(), stream=stream)
        start = time.perf_counter()
        await broker.start()
        await done.wait()
        return time.perf_counter() - start


def _dramatiq(url: str, count: int) -> float:
    import threading

    import dramatiq
    from dramatiq.brokers.redis import RedisBroker

    broker = RedisBroker(url=url, namespace=f"bench-{uuid4().hex}", middleware=[])  # type: ignore[no-untyped-call]
    left, done = [count], threading.Event()

    def handle(payload: str) -> None:
        del payload
        left[0] -= 1
        if not left[0]:
            done.set()

    actor = dramatiq.actor(handle, broker=broker, queue_name="bench")
    for _ in range(count):
        actor.send(_PAYLOAD.decode())
    worker = dramatiq.Worker(broker, worker_threads=8)
    start = time.perf_counter()
    worker.start()
    done.wait(300)
    elapsed = time.perf_counter() - start
    worker.stop()
    broker.close()
    return elapsed
