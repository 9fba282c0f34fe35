"""Accepting commands and waiting for their replies."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import Final
from uuid import UUID

import anyio

from bus.codec import decode_reply, encode_envelope
from bus.contract import Receipt
from bus.streams import keys
from bus.streams.wiring import Wiring
from domain.envelope import Envelope, Reply
from domain.errors import (
    BusBrokenError,
    BusyError,
    ConflictError,
    DeadlineExceededError,
    InvalidRequestError,
    MalformedEventError,
    Subject,
)
from domain.ids import VolumeName

#: First byte of a doorbell message that carries a reply.
_REPLY_BELL: Final = b"r"
#: How often a waiter looks for its reply by itself, in seconds.
_LOOK_SECONDS: Final = 1.0
_RETRY_SECONDS: Final = 0.1
#: What the script says where the queue is full; anything less: too many dead letters.
_FULL: Final = -1
#: What a producer is told to wait when the lane's queue is full, in seconds.
_BUSY_SECONDS: Final = 1.0


class StreamQueue:
    """Commands into Redis Streams, replies out."""

    def __init__(self, wiring: Wiring) -> None:
        self._link = wiring.link
        self._scripts = wiring.scripts
        self._clock = wiring.clock
        self._settings = wiring.settings
        self._observer = wiring.observer
        self._channel = keys.node_channel(wiring.node)
        self._waiting: dict[UUID, _Waiter] = {}
        wiring.bells.on(self._channel, self._rung)

    async def publish(self, command: Envelope) -> Receipt:
        """Accept a command durably, once per id."""
        receipt, _ = await self._enqueue(command)
        return receipt

    async def request(self, command: Envelope, *, timeout_seconds: float) -> Reply:
        """Publish and wait for the answer."""
        deadline = self._clock.now() + timeout_seconds
        asked = replace(command, reply_to=self._channel, deadline=command.deadline or deadline)
        waiter = self._waiting.setdefault(command.id, _Waiter())
        waiter.users += 1
        try:
            with anyio.fail_after(timeout_seconds):
                return await self._answer(asked, waiter)
        except TimeoutError as error:
            raise DeadlineExceededError(
                f"no answer to {command.type} within {timeout_seconds:g} s", command=str(command.id)
            ) from error
        finally:
            waiter.users -= 1
            if not waiter.users:
                self._waiting.pop(command.id, None)

    async def _answer(self, command: Envelope, waiter: _Waiter) -> Reply:
        committed = await self._enqueue_surely(command)
        while True:
            if not committed:
                with anyio.move_on_after(_LOOK_SECONDS):
                    await waiter.event.wait()
            reply = waiter.reply or await self._look(command.volume, command.id)
            if reply is not None:
                return reply
            if committed:
                raise ConflictError(
                    "the command was done before; its reply is no longer kept",
                    subject=Subject.COMMAND,
                    command=str(command.id),
                )

    async def _enqueue_surely(self, command: Envelope) -> bool:
        while True:
            try:
                return (await self._enqueue(command))[1]
            except BusBrokenError:
                await anyio.sleep(_RETRY_SECONDS)

    async def _enqueue(self, command: Envelope) -> tuple[Receipt, bool]:
        if command.id.version != 7:
            raise InvalidRequestError("a command's id must be a UUID version 7", field="id")
        data = encode_envelope(command)
        if len(data) > self._settings.max_envelope_bytes:
            raise InvalidRequestError(
                f"the command takes {len(data)} bytes, more than {self._settings.max_envelope_bytes}", field="body"
            )
        volume = command.volume
        asked = time.monotonic()
        state, entry, redis_ms, committed = await self._scripts.call_durably(
            "enqueue",
            (
                keys.commands(volume),
                keys.lane(volume),
                keys.inbox(volume, command.id),
                keys.dead_letters(volume),
            ),
            (
                command.id.bytes,
                data,
                self._settings.queue_limit,
                int(self._settings.remember_seconds),
                self._settings.dead_letter_limit,
            ),
        )
        self._clock.heard(redis_ms, asked)
        if state < 0:
            self._observer.refused(volume)
            what = "commands wait" if state == _FULL else "dead letters are not dealt with"
            raise BusyError(f"too many {what} on volume {volume}", retry_after_seconds=_BUSY_SECONDS)
        self._observer.accepted(volume, duplicate=state == 0)
        return Receipt(entry.decode(), duplicate=state == 0), bool(committed)

    async def _look(self, volume: VolumeName, command: UUID) -> Reply | None:
        while True:
            try:
                data = await self._link.execute("GET", keys.reply(volume, command))
            except BusBrokenError:
                await anyio.sleep(_RETRY_SECONDS)
            else:
                return None if data is None else decode_reply(data)

    def _rung(self, data: bytes) -> None:
        if not data.startswith(_REPLY_BELL):
            return
        try:
            reply = decode_reply(data[1:])
        except MalformedEventError:
            return
        waiter = self._waiting.get(reply.command)
        if waiter is not None:
            waiter.reply = reply
            waiter.event.set()


class _Waiter:
    """Somebody, or several, waiting for one reply."""

    def __init__(self) -> None:
        self.event = asyncio.Event()
        self.reply: Reply | None = None
        self.users = 0
