"""What a volume's journal brings back, and in which order."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import pytest

from actors.journal import Journal
from actors.observer import SilentObserver
from bus.memo import Memo
from domain.envelope import Reply

pytestmark = pytest.mark.anyio

NOW = 1_000.0
FIRST, SECOND = UUID(int=1), UUID(int=2)


class Volume:
    """One that has this written down."""

    name = "disk"

    def __init__(self, *memos: Memo) -> None:
        self._memos = memos

    async def journal(self) -> list[bytes]:
        return [memo.encode() for memo in self._memos]


class Lane:
    """One that has lost everything."""

    def __init__(self) -> None:
        self.restored: list[Memo] = []

    async def restore(self, memos: Sequence[Memo]) -> int:
        self.restored += memos
        return len(memos)


class Clock:
    def now(self) -> float:
        return NOW


def memo(command: UUID, word: str) -> Memo:
    return Memo(Reply(command, result={"word": word}), [], NOW)


async def test_what_two_owners_wrote_down_keeps_its_order_and_is_what_the_later_one_knew() -> None:
    lane = Lane()
    # The second owner was killed between what it wrote of the first command and of the second.
    volume = Volume(memo(FIRST, "early"), memo(SECOND, "early"), memo(FIRST, "late"))
    await Journal(volume, lane, Clock(), 3600, SilentObserver()).reconcile()
    assert [(found.reply.command, found.reply.result["word"]) for found in lane.restored] == [
        (FIRST, "late"),
        (SECOND, "early"),
    ]
