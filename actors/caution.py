"""What an owner does after others have died: it leaves word of what it runs.

A command that kills its process would kill one owner after the other for ever. Marks that outlive the process tell
the next owner what ran when it died, and how often that was so; such a command then runs alone, so the next mark
blames nobody else, and at the limit it is set aside instead of run. Commands that ran beside it are cleared by
running, alone, once.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import anyio

from bus.contract import Delivery, Lane

#: Commands that must end well before an owner trusts its queue again.
_PROBATION: Final = 64


class Caution:
    """One owner's care for its own life."""

    def __init__(self, lane: Lane, crash_limit: int, solo: anyio.Lock) -> None:
        self._lane = lane
        self._solo = solo
        self._limit = crash_limit
        self._suspects = dict(lane.suspects)
        #: What the next owner is to know: of those that run and of suspects that wait, how many owners they had.
        self._marks = dict(lane.suspects)
        self._left = _PROBATION if lane.crashes else 0

    def suspects(self, delivery: Delivery) -> bool:
        """Whether a command ran when an owner died, and so has to run alone."""
        return delivery.entry in self._suspects

    @asynccontextmanager
    async def alone(self, delivery: Delivery) -> AsyncIterator[None]:
        """Run a suspect while no suspect of another volume runs in this process: they die together."""
        if not self.suspects(delivery):
            yield
            return
        async with self._solo:
            yield
            # Whatever kills us next, perhaps before this one is committed: it was not this one.
            self._marks.pop(delivery.entry, None)
            await self._lane.mark_suspects(self._marks)

    def deaths(self, delivery: Delivery) -> int:
        """How many owners died while they ran this command, if they are as many as may; else 0."""
        deaths = self._suspects.get(delivery.entry, 0)
        return deaths if deaths >= self._limit else 0

    async def before(self, delivery: Delivery) -> None:
        """Mark a command that is run next. Raises FencedError when the lane is not ours."""
        if self._left:
            self._marks[delivery.entry] = self._suspects.get(delivery.entry, 0) + 1
            await self._lane.mark_suspects(self._marks)

    async def after(self, delivery: Delivery) -> None:
        """Take note that a command ended, and we live. Raises FencedError when the lane is not ours."""
        if self._left:
            self._marks.pop(delivery.entry, None)
            self._left -= 1
            if not self._left:
                await self._lane.mark_suspects({})
