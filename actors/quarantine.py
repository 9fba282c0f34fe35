"""Keys whose commands wait behind a dead letter, as the owner of their lane knows them.

The bus keeps the list; an operator may shorten it at any time, so before a command is parked the bus is asked
again. While a dead letter is not yet committed, nothing of its key starts; see `schedule.py`.
"""

from __future__ import annotations

from collections.abc import Sequence

from bus.contract import Delivery, Lane, Outcome, Verdict


class Quarantine:
    """Keys of one lane."""

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self._known: frozenset[str] = frozenset()

    async def load(self) -> None:
        """Ask the bus. Raises FencedError when the lane is not ours."""
        self._known = await self._lane.quarantined()

    async def holds(self, delivery: Delivery) -> bool:
        """Whether this command has to wait. Raises FencedError when the lane is not ours."""
        key = _key(delivery)
        if key in self._known:
            await self.load()
        return key in self._known

    def committed(self, outcomes: Sequence[Outcome]) -> None:
        """Take note of outcomes that were committed."""
        self._known |= {_key(outcome.delivery) for outcome in outcomes if outcome.verdict is Verdict.QUARANTINED}


def _key(delivery: Delivery) -> str:
    return delivery.envelope.key if delivery.envelope else ""
