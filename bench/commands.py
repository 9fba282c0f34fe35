"""Commands through bus and actor against a bare loop on the same Redis.

The storage behind the actor is memory where the bus is measured, and a directory where it is shown what a durable
change of a disk adds: directories are made and synced for each.
"""

from __future__ import annotations

import multiprocessing
import os
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import anyio
import redis.asyncio

from actors.fleet import Fleet
from actors.jobs.contract import Job
from actors.observer import SilentObserver as SilentActors
from actors.settings import ActorSettings
from backends.contract import Operation
from backends.memory import MemoryVolume
from bench.comparison import Aim, Comparison
from bench.servers import SCOPE, penstock, redis_server
from bus.contract import Bus
from bus.settings import BusSettings
from bus.streams import open_streams_bus
from domain.commands import CreateVFolder
from domain.envelope import Envelope, wrap_command
from domain.ids import QuotaScopeId, VFolderId, VolumeName, uuid7

_SCOPE = QuotaScopeId.parse(SCOPE)
_WAITING = 32
_PAYLOAD = b"x" * 256


def commands(folder: Path, count: int, rounds: int) -> Iterator[Comparison]:
    """Latency of request and reply, and commands a second, against XADD, XREAD and a pushed reply."""
    with redis_server(folder) as url, beside(_echo, url), beside(_actor, url):
        latency = Comparison(
            "request and reply, one after the other, median",
            "ms",
            {
                "Penstock": lambda: median_ms(_request(url, "memory", count)),
                "XADD, XREAD, push": lambda: median_ms(_raw(url, count)),
            },
            [Aim("XADD, XREAD, push", 2.0)],
            less_is_better=True,
        )
        latency.run(rounds)
        yield latency
        many = Comparison(
            f"requests answered, {_WAITING} waiting at once",
            "1/s",
            {
                "Penstock": lambda: count / sum(_request(url, "memory", count, _WAITING)),
                "XADD, XREAD, push": lambda: count / sum(_raws(url, count)),
            },
        )
        many.run(rounds)
        yield many
    with penstock(folder) as ours:
        for waiting in (1, _WAITING):
            disk = Comparison(
                f"request and reply, storage on disk, {waiting} at once",
                "1/s",
                {"Penstock": lambda n=waiting: count / sum(_request(ours.redis_url, "disk", count, n))},
            )
            disk.run(rounds)
            yield disk


def _run(work: Callable[..., Awaitable[Any]], *args: object) -> Any:
    """Run on uvloop, as the roles do; peers as well."""
    return anyio.run(work, *args, backend_options={"use_uvloop": True})


def median_ms(seconds: list[float]) -> float:
    return 1000 * statistics.median(seconds)


def _command(bus: Bus, volume: str) -> Envelope:
    command = CreateVFolder(folder=VFolderId(_SCOPE, uuid4()))
    now = bus.clock.now()
    return wrap_command(command, id=uuid7(int(now * 1000), os.urandom(16)), volume=VolumeName(volume), time=now)


def _settings(url: str) -> BusSettings:
    return BusSettings.model_validate({"url": url})


def _request(url: str, volume: str, count: int, waiting: int = 1) -> list[float]:
    return _run(_request_async, url, volume, count, waiting)


async def _request_async(url: str, volume: str, count: int, waiting: int) -> list[float]:
    """Seconds of each request; of all together when several wait at once."""
    seconds: list[float] = []

    async def ask(bus: Bus, first: int) -> None:
        for _ in range(first, count, waiting):
            command = _command(bus, volume)
            start = time.perf_counter()
            reply = await bus.commands.request(command, timeout_seconds=30)
            if not reply.ok:
                raise RuntimeError(str(reply))
            seconds.append(time.perf_counter() - start)

    async with open_streams_bus(_settings(url), f"bench.{uuid4().hex[:8]}") as bus:
        start = time.perf_counter()
        async with anyio.create_task_group() as tasks:
            for first in range(waiting):
                tasks.start_soon(ask, bus, first)
        total = time.perf_counter() - start
    return seconds if waiting == 1 else [total]


def _raw(url: str, count: int) -> list[float]:
    return _run(_raw_async, url, count, 1)


def _raws(url: str, count: int) -> list[float]:
    return _run(_raw_async, url, count, _WAITING)


async def _raw_async(url: str, count: int, waiting: int) -> list[float]:
    seconds: list[float] = []

    async def ask(first: int) -> None:
        mailbox = f"reply:{uuid4().hex}"
        async with redis.asyncio.Redis.from_url(url) as client:
            for _ in range(first, count, waiting):
                start = time.perf_counter()
                await client.xadd("bench:requests", {b"to": mailbox, b"m": _PAYLOAD})
                await client.blpop([mailbox], timeout=10)
                seconds.append(time.perf_counter() - start)

    start = time.perf_counter()
    async with anyio.create_task_group() as tasks:
        for first in range(waiting):
            tasks.start_soon(ask, first)
    total = time.perf_counter() - start
    return seconds if waiting == 1 else [total]


@contextmanager
def beside(work: Callable[[str], None], url: str) -> Iterator[None]:
    """Something that runs in a process of its own."""
    process = multiprocessing.get_context("spawn").Process(target=work, args=(url,), daemon=True)
    process.start()
    try:
        yield
    finally:
        process.terminate()
        process.join()


def _echo(url: str) -> None:
    """The other end of the bare loop."""
    _run(_echo_async, url)


async def _echo_async(url: str) -> None:
    async with redis.asyncio.Redis.from_url(url) as client:
        position: bytes | str = "$"
        while True:
            for _, entries in await client.xread({"bench:requests": position}, count=64, block=1000):
                for entry, fields in entries:
                    await client.rpush(fields[b"to"], fields[b"m"])
                    position = entry


class _NoJobs:
    async def start(self, job: Job) -> None:
        raise NotImplementedError(str(job))


def _actor(url: str) -> None:
    """An actor whose storage is memory."""
    _run(_actor_async, url)


async def _actor_async(url: str) -> None:
    settings = _settings(url)
    async with open_streams_bus(settings, f"bench.{uuid4().hex[:8]}") as bus:
        volume = MemoryVolume(VolumeName("memory"))
        await volume.create_scope(Operation(uuid4()), _SCOPE, None)
        fleet = Fleet(
            bus,
            settings,
            {volume.name: volume},
            _NoJobs(),
            ActorSettings(scan_seconds=0, full_scan_seconds=0),
            SilentActors(),
        )
        await fleet.run(anyio.Event())
