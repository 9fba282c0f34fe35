"""What an owner does after others have died: one command at a time, each marked before it runs.

A command that kills its process would kill one owner after the other for ever. A mark that outlives the process
tells the next owner which command it was; at the limit it is set aside instead of run. Only marked commands count,
so one that merely stood beside another is never blamed.
"""

from __future__ import annotations

from typing import Final

from bus.contract import Delivery, Lane

#: Commands that must end well before an owner trusts its queue again.
_PROBATION: Final = 64


class Caution:
    """One owner's care for its own life."""

    def __init__(self, lane: Lane, crash_limit: int) -> None:
        self._lane = lane
        self._limit = crash_limit
        self._left = _PROBATION if lane.crashes else 0

    @property
    def active(self) -> bool:
        """Whether commands are to be run one at a time."""
        return self._left > 0

    def blames(self, delivery: Delivery) -> bool:
        """Whether this command has killed as many owners as it may."""
        return self._lane.crashes >= self._limit and self._lane.suspect == delivery.entry

    async def before(self, delivery: Delivery) -> None:
        """Mark a command that is run next. Raises FencedError when the lane is not ours."""
        if self.active:
            await self._lane.mark_suspect(delivery.entry)

    def after(self) -> None:
        """Take note that a command ended, and we live."""
        self._left = max(0, self._left - 1)
