"""Threads for the work on archives: each volume has some of its own.

A volume that hangs holds up the archives that are unpacked onto it, and nobody else's; and they hold up none that
is made of it. How much may wait is bounded, and beyond it callers are told to come back.
"""

from __future__ import annotations

import math
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final, TypeVar, TypeVarTuple

import anyio
from anyio import CapacityLimiter, to_thread
from anyio.lowlevel import RunVar

from domain.errors import BusyError
from domain.ids import VolumeName

T = TypeVar("T")
A = TypeVarTuple("A")

#: Archives of one volume that are unpacked at once, and that wait for it.
_UNPACKED: Final = 8
_UNPACKED_WAITING: Final = 24
#: Steps of packing archives of one volume that run at once, and that wait before anything was sent.
_PACKED: Final = max(4, os.cpu_count() or 1)
_PACKED_WAITING: Final = 256
#: How long is waited for a turn, and when to ask again after that, in seconds.
_PATIENCE_SECONDS: Final = 30.0
_RETRY_SECONDS: Final = 5.0


class Crew:
    """So many threads, and so many who wait for one."""

    def __init__(
        self, what: str, threads: int, waiting: int, *, patience_seconds: float = _PATIENCE_SECONDS
    ) -> None:
        self._what = what
        self._turns = CapacityLimiter(threads)
        self._waiting = waiting
        self._patience = patience_seconds
        #: The turns are the bound; the library wants one of its own, and its usual one is everybody's.
        self._threads = CapacityLimiter(math.inf)

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Have one of the threads for oneself.

        Raises:
            BusyError: too many wait, or it took too long.
        """
        if not self._turns.available_tokens and self._turns.statistics().tasks_waiting >= self._waiting:
            raise self._busy()
        # By no task's name: a turn may be had by one that has another one, for another purpose.
        borrower = object()
        try:
            with anyio.fail_after(self._patience):
                await self._turns.acquire_on_behalf_of(borrower)
        except TimeoutError as error:
            raise self._busy() from error
        try:
            yield
        finally:
            self._turns.release_on_behalf_of(borrower)

    async def work(self, function: Callable[[*A], T], *args: *A) -> T:
        """Call something on the thread that one's turn is good for."""
        return await to_thread.run_sync(function, *args, limiter=self._threads)

    async def run(self, function: Callable[[*A], T], *args: *A) -> T:
        """Call something on a thread when it is one's turn. Raises BusyError as `turn` does."""
        async with self.turn():
            return await self.work(function, *args)

    async def go_on(self, function: Callable[[*A], T], *args: *A) -> T:
        """Like `run`, for a step of what was begun: it waits as long as it takes, and is never refused."""
        return await to_thread.run_sync(function, *args, limiter=self._turns)

    def _busy(self) -> BusyError:
        return BusyError(f"too many {self._what}", retry_after_seconds=_RETRY_SECONDS)


_unpackers: Final = RunVar[dict[VolumeName, Crew]]("unpackers")
_packers: Final = RunVar[dict[VolumeName, Crew]]("packers")


def unpackers(volume: VolumeName) -> Crew:
    """Who unpacks archives onto a volume, in this event loop."""
    return _of(_unpackers, volume, f"archives are being unpacked onto {volume}", _UNPACKED, _UNPACKED_WAITING)


def packers(volume: VolumeName) -> Crew:
    """Who makes archives of what is on a volume, in this event loop."""
    return _of(_packers, volume, f"archives of {volume} are being made", _PACKED, _PACKED_WAITING)


def _of(crews: RunVar[dict[VolumeName, Crew]], volume: VolumeName, what: str, threads: int, waiting: int) -> Crew:
    known = crews.get(None)
    if known is None:
        known = {}
        crews.set(known)
    if volume not in known:
        known[volume] = Crew(what, threads, waiting)
    return known[volume]
