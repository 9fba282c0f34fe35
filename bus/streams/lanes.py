"""Owning volumes' lanes: acquire, read, commit, renew, release."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

import anyio
from loguru import logger

from bus.codec import decode_envelope, encode_reply
from bus.contract import Delivery, Outcome, Verdict
from bus.memo import Memo
from bus.streams import keys
from bus.streams.changes import Call
from bus.streams.lease import Trust
from bus.streams.reader import Entry, StreamReader, parse_entry
from bus.streams.wiring import Wiring
from domain.errors import BusBrokenError, FencedError, MalformedEventError
from domain.ids import VolumeName, uuid7

_RETRY_SECONDS: Final = 0.05
#: Memos restored in one step.
_RESTORED: Final = 64
_VERDICTS: Final = {Verdict.DONE: "D", Verdict.DEAD: "X", Verdict.QUARANTINED: "Q", Verdict.PARKED: "P"}


class StreamLanes:
    """Lanes over Redis Streams, all renewed by one task and read by one connection."""

    def __init__(self, wiring: Wiring) -> None:
        self._wiring = wiring
        self._reader = StreamReader(wiring.connections, wiring.link, wiring.observer, count=wiring.settings.window)
        self._held: dict[VolumeName, StreamLane] = {}

    async def acquire(self, volume: VolumeName, *, min_epoch: int = 0) -> StreamLane | None:
        """Take the lane if it is free or its owner is gone."""
        wiring = self._wiring
        asked = time.monotonic()
        answer = await wiring.scripts.call_durably(
            "acquire",
            (keys.lane(volume), keys.commands(volume)),
            (wiring.node, int(wiring.settings.lease_seconds * 1000), min_epoch),
        )
        if not answer[0]:
            return None
        _, epoch, cursor, high, redis_ms, crash, suspect, until = answer
        wiring.clock.heard(redis_ms, asked)
        wiring.observer.acquired(volume, clean=crash == 0)
        lane = StreamLane(self, volume, epoch, Window(cursor.decode(), high.decode()), asked)
        lane.crashes, lane.suspects, lane.owned_until = crash, _marks(suspect.decode()), until
        self._held[volume] = lane
        self._reader.add(lane)
        return lane

    async def run(self) -> None:
        """Read and renew for ever."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._reader.run)
            while True:
                await anyio.sleep(self._wiring.settings.lease_seconds / 4)
                await self._renew_all()

    async def _renew_all(self) -> None:
        async with anyio.create_task_group() as tasks:
            for lane in list(self._held.values()):
                tasks.start_soon(self._renew, lane)

    async def _renew(self, lane: StreamLane) -> None:
        wiring = self._wiring
        asked = time.monotonic()
        try:
            answer = await wiring.scripts.call(
                "renew",
                (keys.lane(lane.volume),),
                (wiring.node, lane.epoch, int(wiring.settings.lease_seconds * 1000), lane.known_commit),
            )
        except BusBrokenError as error:
            wiring.observer.broken("lease")
            logger.debug("renewing {}: {}", lane.volume, error)
            return
        if answer[0] > 0:
            wiring.clock.heard(answer[1], asked)
            lane.trust.renew(asked)
            return
        if answer[0] < 0:
            # Redis went back in time (a failover lost writes): what we believe committed is not.
            logger.warning("lane of {}: Redis has forgotten commits that it has answered", lane.volume)
        self.drop(lane)

    def drop(self, lane: StreamLane, *, fenced: bool = True) -> None:
        """Stop reading and renewing a lane that is lost or given back."""
        if self._held.get(lane.volume) is lane:
            del self._held[lane.volume]
            if fenced:
                self._wiring.observer.fenced(lane.volume)
        self._reader.discard(lane)
        lane.trust.lose()
        lane.wake()

    def poke(self, lane: StreamLane) -> None:
        """Say that a lane has room again."""
        self._reader.poke(lane)

    @property
    def wiring(self) -> Wiring:
        """What this was built from."""
        return self._wiring


class Window:
    """Entries handed out and not yet committed, and how far everything before them is committed."""

    def __init__(self, cursor: str, high: str) -> None:
        #: Everything up to here is committed.
        self.committed = cursor
        #: Nothing above this was committed by an earlier owner.
        self.high = high
        #: Entry -> id of its command; in the order of the stream.
        self._open: dict[str, UUID] = {}
        #: Those of them that are done.
        self._done: set[str] = set()

    def __len__(self) -> int:
        return len(self._open)

    def add(self, delivery: Delivery) -> None:
        """Take in the next entry."""
        self._open[delivery.entry] = delivery.id

    def cursor_after(self, entries: Sequence[str]) -> tuple[str, Sequence[tuple[str, UUID]]]:
        """Where the cursor stands once these entries are done as well, and what it passes that was done before."""
        now, cursor, passed = set(entries), self.committed, []
        for entry, id_ in self._open.items():
            if entry in self._done:
                passed.append((entry, id_))
            elif entry not in now:
                break
            cursor = entry
        return cursor, passed

    def mark(self, entries: Sequence[str]) -> None:
        """Mark entries as done."""
        self._done.update(entry for entry in entries if entry in self._open)

    def finish(self, entries: Sequence[str]) -> None:
        """Mark entries as done and drop those that the cursor has passed."""
        self.mark(entries)
        for entry in list(self._open):
            if entry not in self._done:
                break
            self.committed = entry
            self._done.remove(entry)
            del self._open[entry]


class StreamLane:
    """One lane while this member owns it."""

    def __init__(self, lanes: StreamLanes, volume: VolumeName, epoch: int, window: Window, asked: float) -> None:
        settings = lanes.wiring.settings
        self.volume = volume
        self.epoch = epoch
        self.crashes = 0
        self.suspects: Mapping[str, int] = {}
        #: When the lease of the last owner ended, by Redis's clock in milliseconds; 0: there was none.
        self.owned_until = 0
        self.window = window
        self.stream = keys.commands(volume)
        self.position = window.committed
        self.trust = Trust(settings.lease_seconds, asked, f"the lane of {volume}")
        self._lanes = lanes
        self._limit = settings.window
        self._fed: deque[Entry] = deque()
        self._wake = asyncio.Event()
        #: One after the other: each says which one before it was answered.
        self._committing = anyio.Lock(fast_acquire=True)
        self._commits = 0
        #: Number of the last commit that was answered; those before it were as well.
        self.known_commit = 0

    def room(self) -> int:
        """How many more entries are wanted now."""
        return self._limit - len(self._fed) - len(self.window)

    def feed(self, entries: Sequence[Entry]) -> None:
        """Take entries read from the stream."""
        self._fed.extend(entries)
        self.position = entries[-1][0].decode()
        self.wake()

    def wake(self) -> None:
        """Let `receive` look again."""
        self._wake.set()

    async def receive(self) -> Sequence[Delivery]:
        """Wait for commands not yet handed out."""
        while True:
            await self.trust.confirm()
            taken = [self._fed.popleft() for _ in range(min(len(self._fed), self._limit - len(self.window)))]
            if taken:
                deliveries = await self._undone([_delivery(*entry, self.owned_until) for entry in taken])
                self._lanes.poke(self)
                if deliveries:
                    return deliveries
                await self.commit([])  # so that the cursor passes them, if this Redis knows them to be done
                continue
            self._wake.clear()
            await self._wake.wait()

    async def _undone(self, deliveries: Sequence[Delivery]) -> Sequence[Delivery]:
        """Leave out what an earlier owner committed above the cursor."""
        for delivery in deliveries:
            self.window.add(delivery)
        high = parse_entry(self.window.high)
        unsure = [d for d in deliveries if parse_entry(d.entry) <= high]
        if not unsure:
            return deliveries
        marks = await self._marks([delivery.id for delivery in unsure])
        done = [delivery for delivery, mark in zip(unsure, marks, strict=True) if _is_done(delivery, mark)]
        self.window.mark([delivery.entry for delivery in done])
        known = {delivery.entry for delivery in done}
        return [delivery for delivery in deliveries if delivery.entry not in known]

    async def _marks(self, ids: Sequence[UUID]) -> Sequence[bytes | None]:
        """What is known of commands: where they wait, are parked or were committed; None: nothing."""
        asked = [("HGET", keys.inbox(self.volume, id_), id_.bytes) for id_ in ids]
        while True:
            try:
                return await self._lanes.wiring.link.execute_all(asked)
            except BusBrokenError:
                await self._pause()

    async def commit(self, outcomes: Sequence[Outcome]) -> None:
        """Record outcomes, all or nothing; repeat until the store answers, for the script is idempotent."""
        entries = [outcome.delivery.entry for outcome in outcomes]
        wiring = self._lanes.wiring
        started = time.monotonic()
        async with self._committing:
            self._commits += 1
            await self._surely("commit", self._commit_call(outcomes, *self.window.cursor_after(entries)))
            self.known_commit = self._commits
            self.window.finish(entries)
        self._lanes.poke(self)
        self.wake()
        if outcomes:
            wiring.observer.committed(self.volume, len(outcomes), time.monotonic() - started)

    async def mark_suspects(self, entries: Mapping[str, int]) -> None:
        """Leave word of what runs now."""
        marks = ",".join(f"{entry}={number}" for entry, number in entries.items())
        call = Call((keys.lane(self.volume),), (self._lanes.wiring.node, self.epoch, marks))
        await self._surely("suspect", call)

    async def quarantined(self) -> frozenset[str]:
        """Keys whose commands wait behind a dead letter."""
        while True:
            try:
                found = await self._lanes.wiring.link.execute("HKEYS", keys.quarantine(self.volume))
            except BusBrokenError:
                await self._pause()
            else:
                return frozenset(key.decode() for key in found)

    async def restore(self, memos: Sequence[Memo]) -> int:
        """Commit again what was lost, and what was done before it and waits."""
        marks = await self._marks([memo.reply.command for memo in memos])
        end = max((place for place, mark in enumerate(marks, 1) if mark is None), default=0)
        batches = [memos[first : min(first + _RESTORED, end)] for first in range(0, end, _RESTORED)]
        return sum([await self._surely("restore", self._restore_call(batch)) for batch in batches])

    def _restore_call(self, memos: Sequence[Memo]) -> Call:
        settings = self._lanes.wiring.settings
        volume = self.volume
        call = Call(
            (keys.lane(volume), keys.events(volume), keys.BROADCAST),
            (
                self._lanes.wiring.node,
                self.epoch,
                int(settings.remember_seconds),
                int(settings.reply_seconds * 1000),
                len(memos),
            ),
        )
        for memo in memos:
            command = memo.reply.command
            call.keys += (keys.inbox(volume, command), keys.reply(volume, command))
            call.args += (command.bytes, encode_reply(memo.reply))
            call.events(memo.events)
        return call

    async def _surely(self, script: str, call: Call) -> Any:
        """Run a script until Redis answers, as long as the lease may still be ours."""
        wiring = self._lanes.wiring
        while True:
            try:
                return await wiring.scripts.call(script, call.keys, call.args)
            except FencedError:
                self._lanes.drop(self)
                raise
            except BusBrokenError as error:
                wiring.observer.broken(script)
                logger.debug("{} on {}: {}", script, self.volume, error)
                await self._pause()

    def _commit_call(self, outcomes: Sequence[Outcome], cursor: str, passed: Sequence[tuple[str, UUID]]) -> Call:
        settings = self._lanes.wiring.settings
        volume = self.volume
        call = Call(
            (
                keys.lane(volume),
                keys.commands(volume),
                keys.events(volume),
                keys.BROADCAST,
                keys.dead_letters(volume),
                keys.quarantine(volume),
                keys.parked(volume),
            ),
            (
                self._lanes.wiring.node,
                self.epoch,
                self.known_commit,
                self._commits,
                cursor,
                int(settings.remember_seconds),
                int(settings.reply_seconds * 1000),
                len(outcomes),
            ),
        )
        for outcome in outcomes:
            delivery = outcome.delivery
            done = outcome.verdict is Verdict.DONE
            call.keys += (keys.inbox(volume, delivery.id), keys.reply(volume, delivery.id))
            call.args += (
                delivery.entry,
                delivery.id.bytes,
                _VERDICTS[outcome.verdict],
                delivery.envelope.key if delivery.envelope else "",
                encode_reply(outcome.reply),
                delivery.envelope.reply_to if delivery.envelope else "",
                outcome.reason,
                outcome.attempts,
                b"" if done else delivery.original,
            )
            call.events(outcome.events)
        call.args.append(len(passed))
        for entry, id_ in passed:
            call.keys.append(keys.inbox(volume, id_))
            call.args += (entry, id_.bytes)
        return call

    async def _pause(self) -> None:
        await anyio.sleep(_RETRY_SECONDS)
        if self.trust.is_lost:
            raise FencedError(f"the lane of {self.volume} has another owner")

    async def confirm(self) -> None:
        """Return while the lease is surely ours; wait while that is unknown."""
        await self.trust.confirm()

    async def release(self) -> None:
        """Give the lane back."""
        self._lanes.drop(self, fenced=False)
        wiring = self._lanes.wiring
        await wiring.scripts.call("release", (keys.lane(self.volume),), (wiring.node, self.epoch, keys.DOORBELL))


def _marks(text: str) -> dict[str, int]:
    """Read what `mark_suspects` wrote."""
    pairs = (mark.partition("=") for mark in text.split(",") if mark)
    return {entry: int(number) for entry, _, number in pairs}


def _is_done(delivery: Delivery, mark: bytes | None) -> bool:
    """Whether an earlier owner committed an entry, or parked it, which moved it to another place."""
    return mark is not None and (mark[:1] == b"c" or mark == f"p{delivery.entry}".encode())


def _delivery(entry: bytes, fields: dict[bytes, bytes], owned_until: int) -> Delivery:
    """Make a delivery of a stream entry, whatever its bytes are."""
    raw_id, original = fields.get(b"i", b""), fields.get(b"m", b"")
    name = entry.decode()
    # An entry nobody here wrote may lack a usable id; its place in the stream then names it.
    identity = UUID(bytes=raw_id) if len(raw_id) == 16 else _entry_id(name)
    envelope, fault = None, ""
    try:
        envelope = decode_envelope(original)
    except MalformedEventError as error:
        fault = str(error)
    return Delivery(name, identity, envelope, fault, original, again=parse_entry(name)[0] <= owned_until)


def _entry_id(entry: str) -> UUID:
    """An id for an entry that has none, always the same for the same entry."""
    ms, seq = parse_entry(entry)
    return uuid7(ms, seq.to_bytes(10, "big"))
