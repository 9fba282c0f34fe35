"""Taking over into the bus what was told of changes on the volumes themselves (`backends.powers.KeepsOutbox`).

Every process that tells of changes on a volume relays its outbox, all that is in it, whoever has written it: so
what a process has told of that was killed then comes to the bus by the next one.

Rule: before an event goes to the bus directly, everything that was written before it is taken over (`settle`), or
what was done later would be told earlier.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final, Protocol

import anyio
from loguru import logger

from bus.contract import Emitted, Outboxes
from bus.emission import Emission
from bus.own_entries import Own
from domain.errors import MalformedEventError, PenstockError, UnsupportedError
from domain.ids import VolumeName
from domain.outbox import Mark, Place, Written
from domain.registry import open_event

#: How long is waited before looking for what others have written and not taken over, in seconds.
_LOOK_SECONDS: Final = 1.0
#: How long events are gathered for that were just written, and how often those of a busy volume are taken over, in
#: seconds: many in one step cost little more than one.
_LULL_SECONDS: Final = 0.005
_BUSY_SECONDS: Final = 0.025
#: How often parts that were read are removed, and it is asked anew how far they are: a failover may have forgotten.
_TIDY_SECONDS: Final = 10.0
#: How long a part that was read to its end is kept, in seconds: should the bus forget what it was told last.
_KEEP_SECONDS: Final = 60.0
#: Entries taken over in one step.
_TOGETHER: Final = 64
#: How long what is left may take at the end, in seconds.
_LAST_SECONDS: Final = 5.0


class Source(Protocol):
    """An outbox, as `backends.powers.Outbox` describes it."""

    def mark(self) -> Mark | None:
        """The newest part and its size, which differ once anything more was written; None: that has to be asked."""

    async def parts(self) -> Sequence[Mark]:
        """Its parts and their sizes, the oldest first."""

    async def read(self, part: str, offset: int) -> Sequence[Written]:
        """Some entries of a part behind an offset; none: there are no more now."""

    async def drop(self, part: str, offset: int) -> bool:
        """Remove a part that was read up to an offset; False: not yet."""


class Relay:
    """One volume's outbox on its way into the bus."""

    def __init__(self, volume: VolumeName, source: Source, outboxes: Outboxes) -> None:
        self._volume = volume
        self._source = source
        self._outboxes = outboxes
        self._lock = anyio.Lock()
        #: How far each part is, as far as is known here, and when that was known last.
        self._at: dict[str, int] = {}
        self._known = 0.0
        #: What this process has written itself: it need not be read again.
        self._own = Own()
        #: The outbox's mark as everything was taken over.
        self._settled: Mark | None = None
        #: Where parts ended that are not written to any more, and since when all of them was taken over.
        self._ends: dict[str, tuple[int, float]] = {}
        self._woken = anyio.Event()

    def wake(self, place: Place, emission: Emission) -> None:
        """Something was written: take it over soon."""
        self._own.add(place, emission)
        self._woken.set()

    async def settle(self) -> None:
        """Return when the bus has all that was written before.

        Raises:
            BusBrokenError: the store is away.
            PenstockError: the storage failed.
        """
        if self._is_settled():
            return
        async with self._lock:
            if self._is_settled():
                return
            mark = self._source.mark()
            if anyio.current_time() - self._known > _LOOK_SECONDS / 2:
                self._at.clear()  # others have most likely taken over what they wrote meanwhile
            if not await self._take_own(mark):
                for part, size in await self._source.parts():
                    await self._take_all(part, size)
            self._settled, self._known = mark, anyio.current_time()

    async def _take_own(self, mark: Mark | None) -> bool:
        """Take over what was written since, if this process has written all of it; False: not all was."""
        if mark is None or mark[0] not in self._at:
            return False
        part, size = mark
        while (at := self._at[part]) < size:
            entries = self._own.behind(part, at, _TOGETHER)
            if not entries:
                return False
            end = entries[-1][0]
            emissions = [Emitted(emission) for _, emission in entries]
            self._at[part] = await self._outboxes.take(self._volume, part, at, end, emissions)
            if self._at[part] != end:
                return False
        return True

    def _is_settled(self) -> bool:
        mark = self._source.mark()
        return mark is not None and mark == self._settled

    async def _take_all(self, part: str, size: int) -> None:
        """Take over what a part has, up to a size: what is written meanwhile is for who asks then."""
        at: int | None = self._at.get(part)
        if at is None:
            at = await self._outboxes.position(self._volume, part) or 0
        self._at[part] = at
        while at is not None and at < size and (entries := await self._source.read(part, at)):
            at = await self._take(part, at, entries)

    async def _take(self, part: str, at: int, entries: Sequence[Written]) -> int | None:
        """Take over entries that were read; tells where the part is then. None: it waits for a later release."""
        for first in range(0, len(entries), _TOGETHER):
            some = entries[first : first + _TOGETHER]
            emissions = self._emissions(some)
            if emissions:
                end = some[len(emissions) - 1].end
                at = self._at[part] = await self._outboxes.take(self._volume, part, at, end, emissions)
                if at != end:
                    return at  # somebody else is at it, or the bus has forgotten something
            if len(emissions) < len(some):
                return None
        return at

    def _emissions(self, entries: Sequence[Written]) -> Sequence[Emitted]:
        """What entries say, up to the first one that only a later release knows: that one waits for it."""
        found: list[Emitted] = []
        for entry in entries:
            try:
                found.append(Emitted(_opened(Emission.decode(entry.data)), entry.again))
            except MalformedEventError as error:
                logger.error("the outbox of {}: {}", self._volume, error)
                found.append(Emitted(None))
            except UnsupportedError as error:
                logger.warning("the outbox of {} waits for a later release: {}", self._volume, error)
                break
        return found

    async def run(self) -> None:
        """Take over what is written, from now until this is cancelled; and then what is left."""
        tidied = anyio.current_time()
        try:
            while True:
                await self._look()
                looked = anyio.current_time()
                if looked - tidied > _TIDY_SECONDS:
                    await self._tidy()
                    tidied = looked
                with anyio.move_on_after(_LOOK_SECONDS):
                    await self._woken.wait()
                    self._woken = anyio.Event()
                    await anyio.sleep(max(_LULL_SECONDS, looked + _BUSY_SECONDS - anyio.current_time()))
        finally:
            with anyio.move_on_after(_LAST_SECONDS, shield=True):
                await self._look()

    async def _look(self) -> None:
        try:
            await self.settle()
        except PenstockError as error:
            logger.warning("taking over the outbox of {}: {}", self._volume, error)

    async def _tidy(self) -> None:
        """Remove parts that are done with, and forget how far the others are."""
        async with self._lock:
            at, self._at, self._settled = self._at, {}, None
            try:
                former = [part for part, _ in (await self._source.parts())[:-1]]
                # Others remove parts as well.
                self._ends = {part: end for part, end in self._ends.items() if part in former}
                for part in former:
                    if part in at and self._is_over(part, at[part]) and await self._source.drop(part, at[part]):
                        self._ends.pop(part)
                        await self._outboxes.forget(self._volume, part)
            except PenstockError as error:
                logger.warning("tidying the outbox of {}: {}", self._volume, error)

    def _is_over(self, part: str, at: int) -> bool:
        """Whether nothing more has come to a part for long, and all it has was taken over."""
        now = _now()
        end, since = self._ends.get(part, (-1, now))
        if end != at:
            since = now
        self._ends[part] = at, since
        return now - since >= _KEEP_SECONDS


def _now() -> float:
    return time.monotonic()


class Relays:
    """The relays of one process."""

    def __init__(self, outboxes: Outboxes, sources: Mapping[VolumeName, Source]) -> None:
        self._relays = {volume: Relay(volume, source, outboxes) for volume, source in sources.items()}

    async def run(self) -> None:
        """Relay all of them, from now until this is cancelled."""
        async with anyio.create_task_group() as tasks:
            for relay in self._relays.values():
                tasks.start_soon(relay.run)

    def wake(self, volume: VolumeName, place: Place, emission: Emission) -> None:
        """Something was written in a volume's outbox, by this process."""
        self._relays[volume].wake(place, emission)

    async def settle(self, volume: VolumeName) -> None:
        """Return when the bus has all that was written in a volume's outbox before. Raises as `Relay.settle`."""
        if relay := self._relays.get(volume):
            await relay.settle()


def _opened(emission: Emission) -> Emission:
    """With the event read from its body, so that it is not read again where it is projected."""
    event = emission.event
    return replace(emission, event=replace(event, event=open_event(event)))
