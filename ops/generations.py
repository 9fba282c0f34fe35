"""A role that can be given other settings while it works.

The role is begun once more with the new settings, beside the one that runs; when it serves, the other one stops as
it would for SIGTERM. So requests find somebody at every moment, and settings with which nothing can be started
change nothing.
"""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

import anyio
from anyio.abc import TaskGroup
from loguru import logger

from domain.errors import PenstockError
from ops.log import configure
from ops.settings import Settings

#: How long a role with new settings may take until it serves, in seconds.
_START_SECONDS: Final = 60.0


@dataclass(slots=True)
class Turn:
    """One run of a role, from its own point of view."""

    #: Call it when the settings may have changed.
    renew: Callable[[], None]
    #: Set when it is to end.
    stop: anyio.Event = field(default_factory=anyio.Event)
    #: Set when it serves, or has ended before that.
    settled: anyio.Event = field(default_factory=anyio.Event)
    is_serving: bool = False

    def serves(self) -> None:
        """Say that it does its work from now on."""
        self.is_serving = True
        self.settled.set()


Role = Callable[[Settings, Turn], Awaitable[None]]


@dataclass(slots=True)
class _Generation:
    settings: Settings
    turn: Turn
    over: anyio.Event = field(default_factory=anyio.Event)


class Generations:
    """Runs a role of this process.

    Args:
        read: reads the settings anew. Blocking; raises PenstockError where they make no sense.
    """

    def __init__(self, role: Role, name: str, read: Callable[[], Settings]) -> None:
        self._role = role
        self._name = name
        self._read = read
        self._living: list[_Generation] = []
        self._stopping = False
        self._renewing = False
        self._wake = anyio.Event()

    async def run(self, settings: Settings) -> None:
        """Run until SIGTERM or SIGINT; look for new settings on SIGHUP, and when the role says so."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._listen)
            async with anyio.create_task_group() as generations:
                await self._follow(self._begin(settings, generations), generations)
            tasks.cancel_scope.cancel()

    async def _follow(self, now: _Generation, generations: TaskGroup) -> None:
        while not self._stopping:
            await self._wake.wait()
            self._wake = anyio.Event()
            if self._renewing and not self._stopping:
                self._renewing = False
                now = await self._renewed(now, generations)
            if now.over.is_set():
                self._stop()

    async def _listen(self) -> None:
        with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
            async for number in signals:
                if number == signal.SIGHUP:
                    self._renew()
                else:
                    self._stop()

    def _stop(self) -> None:
        self._stopping = True
        for generation in self._living:
            generation.turn.stop.set()
        self._wake.set()

    def _renew(self) -> None:
        self._renewing = True
        self._wake.set()

    def _begin(self, settings: Settings, generations: TaskGroup) -> _Generation:
        generation = _Generation(settings, Turn(self._renew))
        self._living.append(generation)
        generations.start_soon(self._live, generation, len(self._living) == 1)
        return generation

    async def _live(self, generation: _Generation, is_first: bool) -> None:  # noqa: FBT001  called by a task group
        try:
            await self._role(generation.settings, generation.turn)
        except Exception as error:
            if is_first or generation.turn.is_serving:
                raise
            told = "; ".join(map(str, leaves(error)))
            logger.error("{} cannot begin with the new settings: {}", self._name, told)
        finally:
            self._living.remove(generation)
            generation.over.set()
            generation.turn.settled.set()
            self._wake.set()

    async def _renewed(self, now: _Generation, generations: TaskGroup) -> _Generation:
        """Go over to new settings, if there are any that work."""
        try:
            settings = await anyio.to_thread.run_sync(self._read)
        except PenstockError as error:
            logger.error("the new settings of {} make no sense, the old ones stay: {}", self._name, error)
            return now
        # Whoever was told to stop meanwhile begins nothing that nobody would tell to stop.
        if self._stopping or settings.model_dump() == now.settings.model_dump():
            return now
        following = self._begin(settings, generations)
        with anyio.move_on_after(_START_SECONDS):
            await following.turn.settled.wait()
        if not following.turn.is_serving:
            following.turn.stop.set()
            logger.error("{} goes on with the old settings", self._name)
            return now
        if settings.log != now.settings.log:
            configure(settings.log, self._name)
        logger.info("{} works with new settings", self._name)
        now.turn.stop.set()
        return following


def leaves(error: BaseException) -> list[BaseException]:
    """The errors inside groups of errors."""
    if not isinstance(error, BaseExceptionGroup):
        return [error]
    return [leaf for inner in error.exceptions for leaf in leaves(inner)]
