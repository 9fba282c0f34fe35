"""Outcomes written down on the volume before anybody hears of them, and read again by the next owner.

Redis may lose its last second in a crash, more in a failover, all by a mistake. What it lost of what was done is
found here: a command that comes again gets its first answer, and events nobody can find are appended once more,
with the same ids.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from loguru import logger

from actors.observer import ActorObserver
from backends.contract import Volume
from bus.contract import Clock, Delivery, Lane, Outcome, Verdict
from bus.memo import Memo
from domain.errors import MalformedEventError, PenstockError

#: Part of the time a command id is remembered during which its absence proves that it was lost.
_SURE: Final = 0.9


class Journal:
    """One owner's view of a volume's journal."""

    def __init__(
        self, volume: Volume, lane: Lane, clock: Clock, remember_seconds: float, observer: ActorObserver
    ) -> None:
        self._volume = volume
        self._observer = observer
        self._lane = lane
        self._clock = clock
        self._remember = _SURE * remember_seconds
        self._known: dict[UUID, Memo] = {}

    async def reconcile(self) -> int:
        """Read what earlier owners wrote, and have the bus take in what it lost; tells how much that was.

        Raises:
            FencedError: the volume went to another owner.
        """
        oldest = self._clock.now() - self._remember
        found = [memo for memo in map(_memo, await self._volume.journal()) if memo and memo.time >= oldest]
        for memo in found:
            # Of two owners who both wrote, the later one knew more; what came behind it stays behind it.
            self._known[memo.reply.command] = memo
        restored = await self._lane.restore(list(self._known.values()))
        if restored:
            self._observer.restored(self._volume.name, restored)
            logger.warning("{}: {} outcomes the bus had lost were restored", self._volume.name, restored)
        return restored

    def recall(self, delivery: Delivery) -> Outcome | None:
        """The outcome of a command that was handled before, if that is known."""
        memo = self._known.get(delivery.id)
        return Outcome(delivery, Verdict.DONE, memo.reply, memo.events) if memo else None

    async def write(self, outcomes: Sequence[Outcome]) -> Sequence[Outcome]:
        """Write outcomes down; tells which were. A command that was set aside had no effect, and is not."""
        now = self._clock.now()
        done = [outcome for outcome in outcomes if outcome.verdict is Verdict.DONE]
        memos = [Memo(outcome.reply, outcome.events, now) for outcome in done]
        if not memos:
            return ()
        try:
            await self._volume.append_journal(self._lane.epoch, [memo.encode() for memo in memos])
        except PenstockError as error:
            # A second record is not worth refusing the first: a full volume must take the deletions that free it.
            self._observer.journal_missed(self._volume.name, len(memos))
            logger.warning("the journal of {} misses {} outcomes: {}", self._volume.name, len(memos), error)
            return ()
        return done


def _memo(data: bytes) -> Memo | None:
    try:
        return Memo.decode(data)
    except MalformedEventError as error:
        logger.warning("journal: {}", error)
        return None
