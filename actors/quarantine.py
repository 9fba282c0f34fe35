"""Keys whose commands wait behind a dead letter, as the owner of their lane knows them.

The bus keeps the list; an operator may shorten it at any time, so before a command is parked the bus is asked
again. A key whose dead letter is not yet committed is held without asking.
"""

from __future__ import annotations

from collections.abc import Sequence

from bus.contract import Delivery, Lane, Outcome, Verdict


class Quarantine:
    """Keys of one lane."""

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self._known: frozenset[str] = frozenset()
        self._uncommitted: set[str] = set()

    async def load(self) -> None:
        """Ask the bus. Raises FencedError when the lane is not ours."""
        self._known = await self._lane.quarantined()

    async def holds(self, delivery: Delivery) -> bool:
        """Whether this command has to wait. Raises FencedError when the lane is not ours."""
        key = _key(delivery)
        if key in self._uncommitted:
            return True
        if key in self._known:
            await self.load()
        return key in self._known

    def settled(self, outcome: Outcome) -> None:
        """Take note of an outcome that will be committed."""
        if outcome.verdict is Verdict.QUARANTINED:
            self._uncommitted.add(_key(outcome.delivery))

    def committed(self, outcomes: Sequence[Outcome]) -> None:
        """Take note of outcomes that were committed."""
        keys = {_key(outcome.delivery) for outcome in outcomes if outcome.verdict is Verdict.QUARANTINED}
        self._uncommitted -= keys
        self._known |= keys


def _key(delivery: Delivery) -> str:
    return delivery.envelope.key if delivery.envelope else ""
