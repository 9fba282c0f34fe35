"""Whose turn it is among what waits to be done in the background of one volume.

Rules: few things are done at once; whoever has the least going on is served first, then whoever waits for longest,
so that one owner with thousands of deleted folders does not keep others waiting. What was started and is not being
done, because a job was lost or no worker is there, gives its place to others; it is started again, but ever more
rarely.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Final
from uuid import UUID

#: How long something that was started may take until somebody does it, in seconds.
GRACE_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Pending:
    """Something that waits to be done, or is being done."""

    id: UUID
    #: Whose it is; empty: nobody's.
    tenant: str
    #: Name of the lease of whoever does it.
    lease: str
    start: Callable[[], Awaitable[None]]
    #: Longest time until it is started again, in seconds.
    rarest_seconds: float


@dataclass(slots=True)
class _Started:
    """Something that was started."""

    at: float
    again: float
    pause: float


class Turns:
    """Picks what is to be started.

    Args:
        places: how many may be done at once.
        pause_seconds: time until something that was started is started again, at first.
    """

    def __init__(self, places: int, pause_seconds: float) -> None:
        self._places = places
        self._pause = pause_seconds
        self._started: dict[UUID, _Started] = {}
        #: When each tenant was served last, as a count of all that was started.
        self._served: dict[str, int] = {}
        self._count = 0

    def __len__(self) -> int:
        """How many are remembered."""
        return len(self._started)

    def forget_others(self, there: Collection[UUID]) -> None:
        """Forget everything that is not there any more."""
        self._started = {id_: started for id_, started in self._started.items() if id_ in there}

    def not_started(self, ids: Iterable[UUID]) -> None:
        """Take back that these were started: it is tried again at the next look."""
        for id_ in ids:
            self._started.pop(id_, None)

    def doubtful(self, pending: Iterable[Pending], now: float) -> list[Pending]:
        """What was started so long ago that it has to be looked up whether somebody does it."""
        return [item for item in pending if self._is_doubtful(item.id, now)]

    def _is_doubtful(self, id_: UUID, now: float) -> bool:
        started = self._started.get(id_)
        return started is not None and now >= started.at + GRACE_SECONDS

    def pick(self, pending: Iterable[Pending], alive: Collection[UUID], now: float) -> list[Pending]:
        """What is to be started now, each of which counts as started from then on.

        Args:
            alive: what somebody is doing, of what is doubtful.
        """
        items = list(pending)
        busy = Counter(item.tenant for item in items if self._has_place(item.id, alive, now))
        free = self._places - busy.total()
        waiting = [item for item in items if self._may_start(item.id, alive, now)]
        picked: list[Pending] = []
        while free > 0 and waiting:
            item = min(waiting, key=lambda one: self._rank(one, busy))
            waiting.remove(item)
            self._note(item, now)
            picked.append(item)
            busy[item.tenant] += 1
            free -= 1
        tenants = {item.tenant for item in items}
        self._served = {tenant: when for tenant, when in self._served.items() if tenant in tenants}
        return picked

    def _has_place(self, id_: UUID, alive: Collection[UUID], now: float) -> bool:
        return id_ in self._started and (id_ in alive or not self._is_doubtful(id_, now))

    def _may_start(self, id_: UUID, alive: Collection[UUID], now: float) -> bool:
        started = self._started.get(id_)
        return started is None or (id_ not in alive and now >= started.again)

    def _rank(self, item: Pending, busy: Counter[str]) -> tuple[int, int, bool, int]:
        """New things of a tenant before those that are started again, and older ones before younger ones."""
        served = self._served.get(item.tenant, -1)
        return busy[item.tenant], served, item.id in self._started, item.id.int

    def _note(self, item: Pending, now: float) -> None:
        started = self._started.setdefault(item.id, _Started(now, now, self._pause))
        started.at, started.again = now, now + started.pause
        started.pause = min(item.rarest_seconds, 2 * started.pause)
        self._count += 1
        self._served[item.tenant] = self._count
