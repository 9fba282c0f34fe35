"""Owning lanes in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import anyio

from bus.codec import decode_envelope, decode_reply, encode_reply
from bus.contract import DeadLetter, Delivery, Outcome, Verdict
from bus.memo import Memo
from bus.memory.store import LaneState, MemoryStore, StoredCommand, now
from bus.settings import BusSettings
from domain.errors import FencedError, MalformedEventError
from domain.ids import VolumeName


class MemoryLanes:
    """Lanes of one member."""

    def __init__(self, store: MemoryStore, settings: BusSettings, node: str) -> None:
        self._store = store
        self._settings = settings
        self._node = node
        self._held: list[MemoryLane] = []

    async def acquire(self, volume: VolumeName, *, min_epoch: int = 0) -> MemoryLane | None:
        """Take the lane if it is free or its owner is gone."""
        await anyio.lowlevel.checkpoint()
        state = self._store.lanes[volume]
        if state.owner not in ("", self._node) and state.expires > now():
            return None
        # A predecessor that did not give the lane back died.
        if state.owner not in ("", self._node):
            state.crashes += 1
        state.owner = self._node
        state.epoch = max(state.epoch, min_epoch) + 1
        state.expires = now() + self._settings.lease_seconds
        lane = MemoryLane(self._store, volume, state, self._settings)
        self._held.append(lane)
        return lane

    async def renew(self) -> None:
        """Keep what is held, for ever."""
        while True:
            await anyio.sleep(self._settings.lease_seconds / 4)
            self._held = [lane for lane in self._held if lane.is_mine]
            for lane in self._held:
                lane.state.expires = now() + self._settings.lease_seconds


class MemoryLane:
    """One lane while this member owns it."""

    def __init__(self, store: MemoryStore, volume: VolumeName, state: LaneState, settings: BusSettings) -> None:
        self.volume = volume
        self.state = state
        self.epoch = state.epoch
        self.crashes = state.crashes
        self.suspects = dict(state.suspects)
        self._store = store
        self._window = settings.window
        self._released = False
        self._handed: set[int] = set()

    @property
    def is_mine(self) -> bool:
        """Whether nobody took the lane since."""
        return not self._released and self.state.epoch == self.epoch

    async def receive(self) -> Sequence[Delivery]:
        """Wait for commands not yet handed out."""
        while True:
            await self.confirm()
            room = self._window - len(self._handed)
            fresh = [c for c in self.state.commands if not c.done and c.number not in self._handed][:room]
            if fresh:
                self._handed.update(command.number for command in fresh)
                deliveries = [_delivery(command) for command in fresh]
                for command in fresh:
                    command.handed = True
                return deliveries
            await self._store.changed()

    async def commit(self, outcomes: Sequence[Outcome]) -> None:
        """Record outcomes, all or nothing."""
        await self.confirm()
        for outcome in outcomes:
            stored = self.state.commands[int(outcome.delivery.entry) - 1]
            self._handed.discard(stored.number)
            if stored.done:
                continue
            stored.done = True
            envelope = outcome.delivery.envelope
            key = envelope.key if envelope else ""
            if outcome.verdict is Verdict.PARKED:
                self._park(stored, key)
                continue
            self.state.replies[stored.id] = decode_reply(encode_reply(outcome.reply))
            if outcome.verdict is not Verdict.DONE:
                letter = self._set_aside(outcome)
                if outcome.verdict is Verdict.QUARANTINED:
                    self.state.quarantine.setdefault(key, letter)
            for event in outcome.events:
                self._store.append(event)
        if not self.state.suspects:
            self.state.crashes = 0
        self._store.ring()

    def _park(self, stored: StoredCommand, key: str) -> None:
        if key in self.state.quarantine:
            self.state.parked.append(StoredCommand(0, stored.id, stored.data, key=key))
        else:  # what it waited for was dealt with a moment ago
            self.state.append(stored.id, stored.data)

    def _set_aside(self, outcome: Outcome) -> str:
        delivery = outcome.delivery
        letter = f"{int(now() * 1000)}-{len(self.state.dead)}"
        self.state.dead.append(
            DeadLetter(
                volume=self.volume,
                letter=letter,
                id=delivery.id,
                reason=outcome.reason,
                attempts=outcome.attempts,
                epoch=self.epoch,
                time=now(),
                original=delivery.original,
                envelope=delivery.envelope,
            )
        )
        return letter

    async def mark_suspects(self, entries: Mapping[str, int]) -> None:
        """Leave word of what runs now."""
        await self.confirm()
        self.state.suspects = dict(entries)
        if not entries:
            self.state.crashes = 0

    async def quarantined(self) -> frozenset[str]:
        """Keys whose commands wait behind a dead letter."""
        await self.confirm()
        return frozenset(self.state.quarantine)

    async def restore(self, memos: Sequence[Memo]) -> int:
        """Commit again what was lost, and what was done before it and waits."""
        await self.confirm()
        end = max((n for n, memo in enumerate(memos, 1) if memo.reply.command not in self.state.by_id), default=0)
        restored = sum([self._restore(memo) for memo in memos[:end]])
        self._store.ring()
        return restored

    def _restore(self, memo: Memo) -> bool:
        command = memo.reply.command
        stored = self.state.by_id.get(command) or self.state.append(command, b"")
        parked = [other for other in self.state.parked if other.id == command]
        if stored.done and not parked:
            return False
        stored.done = True
        for other in parked:
            self.state.parked.remove(other)
        self.state.replies[command] = memo.reply
        for event in memo.events:
            self._store.append(event)
        return True

    async def confirm(self) -> None:
        """Return while the lane is ours."""
        await anyio.lowlevel.checkpoint()
        if not self.is_mine:
            raise FencedError(f"the lane of {self.volume} has another owner")

    async def release(self) -> None:
        """Give the lane back."""
        await anyio.lowlevel.checkpoint()
        if self.is_mine:
            self.state.owner = ""
            self.state.crashes, self.state.suspects = 0, {}
            self.state.expires = 0.0
        self._released = True
        self._store.ring()


def _delivery(command: StoredCommand) -> Delivery:
    envelope, fault = None, ""
    try:
        envelope = decode_envelope(command.data)
    except MalformedEventError as error:
        fault = str(error)
    return Delivery(str(command.number), command.id, envelope, fault, command.data, again=command.handed)
