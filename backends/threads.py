"""Blocking calls on one volume's storage, each volume on threads of its own.

Rules: a volume that hangs uses up its own threads and nobody else's; how many calls may wait is bounded, and
beyond it callers are told to come back; a call that was begun is waited for even when its caller is cancelled,
up to the time limit, and a thread that is still stuck then keeps whatever it holds until it returns.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from typing import Final, ParamSpec, TypeVar

import anyio

from backends.observer import BackendObserver
from backends.patience import Patience
from backends.pool import Pending, Pool
from domain.errors import BackendUnavailableError, BusyError, NotFoundError
from domain.ids import VolumeName

P = ParamSpec("P")
T = TypeVar("T")

#: How often it is looked whether calls have ended, in seconds.
_LOOK_SECONDS: Final = 0.01


class VolumeThreads:
    """A bounded pool of threads for one volume."""

    def __init__(
        self,
        volume: VolumeName,
        observer: BackendObserver,
        *,
        threads: int,
        waiting: int,
        timeout_seconds: float,
        scans: int = 1,
        helpers: int = 0,
    ) -> None:
        self._volume = volume
        self._observer = observer
        self._limit = threads + waiting
        self.timeout_seconds = timeout_seconds
        #: Processes that copy the small files of one tree, and count beside us.
        self.helpers = helpers
        #: Calls that look at very many entries, at once.
        self.scans = scans
        self._scans = anyio.Semaphore(scans)
        self._pool = Pool(threads, f"volume-{volume}")

    async def run(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a blocking function on a thread and wait for it.

        Raises:
            BusyError: too many calls wait on this volume.
            BackendUnavailableError: no answer within the time limit; the call may still take effect.
        """
        self.admit()
        return await self.finish(function, *args, **kwargs)

    def admit(self, waiting: int | None = None) -> None:
        """See that so many calls that wait already, or all that do, are not too many. Raises BusyError."""
        if (len(self._pool.pending) if waiting is None else waiting) >= self._limit:
            raise BusyError(f"too many calls wait on volume {self._volume}", retry_after_seconds=1.0)

    async def scan(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Like `run`, for calls that look at very many entries in turn: few of them run at once.

        Between two short system calls each of them wants the interpreter back. Many side by side pass it from one
        to the other at every entry, and all of them together take ten times as long as one after the other.

        One that nobody waits for any more is one of them until it ends: whoever asks again and again does not have
        all threads of a slow volume.
        """
        self.admit(self._scans.statistics().tasks_waiting)
        try:
            self._scans.acquire_nowait()
        except anyio.WouldBlock:
            await self._turn(function.__name__)
        try:
            self.admit()
            call = self._pool.start(partial(function, *args, **kwargs), self._scans.release)
        except BaseException:
            self._scans.release()
            raise
        return await self.outcome(call, function.__name__)

    async def _turn(self, what: str) -> None:
        try:
            with anyio.fail_after(self.timeout_seconds):
                await self._scans.acquire()
        except TimeoutError as error:
            message = f"volume {self._volume} did not come to {what} within {self.timeout_seconds:g} s"
            raise BackendUnavailableError(message, operation=what) from error

    async def finish(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Like `run`, for calls that give something back: they are refused only once the volume is being closed."""
        return await self.outcome(self.start(function, *args, **kwargs), function.__name__)

    def bounded(self, patience: Patience) -> BoundedThreads:
        """The same threads, for somebody who may not wait so long."""
        return BoundedThreads(self, patience)

    def start(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Pending[T]:
        """Begin a call; what comes of it is told by `outcome`. Raises BackendUnavailableError."""
        return self._pool.start(partial(function, *args, **kwargs) if args or kwargs else function)

    def begin(self, work: Callable[[], None], then: Callable[[], None]) -> None:
        """Have something done on a thread that nobody waits for; `then` is called on the loop when it is over."""
        self._pool.start(work, then)

    async def outcome(self, call: Pending[T], what: str, patience: Patience | None = None) -> T:
        """Wait for what comes of a call that was just begun. Raises as `run`."""
        started = time.monotonic()
        failed = True
        try:
            await self._wait(call, what, patience)
            failed = call.error is not None
            return call.outcome()
        except NotFoundError as error:
            error.facts = {"volume": self._volume, **error.facts}
            raise
        finally:
            self._observer.called(self._volume, what, time.monotonic() - started, failed=failed)

    async def _wait(self, call: Pending[T], what: str, patience: Patience | None) -> None:
        began = time.monotonic()
        with (
            anyio.move_on_after(self.timeout_seconds, shield=True) as scope,
            nullcontext() if patience is None else patience.bounding(scope),
        ):
            try:
                await call.wait()
            except asyncio.CancelledError:
                if not scope.cancel_called:
                    # A cancellation from outside anyio: finish what was begun, then let it through.
                    await call.wait()
                raise
            return
        call.is_dropped = True
        waited = time.monotonic() - began
        raise BackendUnavailableError(
            f"volume {self._volume} gave no answer to {what} within {waited:.3g} s", operation=what
        )

    async def close(self) -> None:
        """Let running calls finish, start no new ones. A stuck one is left behind."""
        self._pool.close()
        with anyio.move_on_after(self.timeout_seconds, shield=True):
            while self._pool.pending:
                await anyio.sleep(_LOOK_SECONDS)


class BoundedThreads:
    """A volume's threads, for a user whose patience may end before the time limit."""

    def __init__(self, threads: VolumeThreads, patience: Patience) -> None:
        self._threads = threads
        self._patience = patience

    async def run(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """As `VolumeThreads.run`."""
        self._threads.admit()
        return await self.finish(function, *args, **kwargs)

    async def finish(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """As `VolumeThreads.finish`."""
        call = self._threads.start(function, *args, **kwargs)
        return await self._threads.outcome(call, function.__name__, self._patience)
