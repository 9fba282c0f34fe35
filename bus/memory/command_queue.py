"""Accepting commands and waiting for replies, in memory."""

from __future__ import annotations

from dataclasses import replace

import anyio

from bus.codec import encode_envelope
from bus.contract import Clock, Receipt
from bus.memory.store import MemoryStore
from bus.settings import BusSettings
from domain.envelope import Envelope, Reply
from domain.errors import BusyError, DeadlineExceededError, InvalidRequestError


class MemoryQueue:
    """Commands in, replies out."""

    def __init__(self, store: MemoryStore, settings: BusSettings, clock: Clock) -> None:
        self._store = store
        self._settings = settings
        self._clock = clock

    async def publish(self, command: Envelope) -> Receipt:
        """Accept a command, once per id."""
        await anyio.lowlevel.checkpoint()
        if command.id.version != 7:
            raise InvalidRequestError("a command's id must be a UUID version 7", field="id")
        data = encode_envelope(command)
        if len(data) > self._settings.max_envelope_bytes:
            raise InvalidRequestError(f"the command takes {len(data)} bytes", field="body")
        lane = self._store.lanes[command.volume]
        known = lane.by_id.get(command.id)
        if known is not None:
            return Receipt(str(known.number), duplicate=True)
        if lane.waiting >= self._settings.queue_limit:
            raise BusyError(f"too many commands wait on volume {command.volume}", retry_after_seconds=1.0)
        if len(lane.dead) >= self._settings.dead_letter_limit:
            raise BusyError(f"too many dead letters are on volume {command.volume}", retry_after_seconds=1.0)
        stored = lane.append(command.id, data)
        self._store.ring()
        return Receipt(str(stored.number), duplicate=False)

    async def request(self, command: Envelope, *, timeout_seconds: float) -> Reply:
        """Publish and wait for the answer."""
        deadline = self._clock.now() + timeout_seconds
        await self.publish(replace(command, deadline=command.deadline or deadline, reply_to="memory"))
        replies = self._store.lanes[command.volume].replies
        try:
            with anyio.fail_after(timeout_seconds):
                while command.id not in replies:
                    await self._store.changed()
        except TimeoutError as error:
            raise DeadlineExceededError(
                f"no answer to {command.type} within {timeout_seconds:g} s", command=str(command.id)
            ) from error
        return replies[command.id]
