"""Asking a volume's actor, on behalf of a request."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from bus.contract import Bus
from domain.envelope import Envelope, Origin, wrap_command
from domain.errors import ErrorCode
from domain.failures import error_of
from domain.ids import VolumeName
from domain.messages import Command
from gateway.repetitions import Repetitions


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks for a command."""

    origin: Origin
    #: Idempotency key of the request; empty: it is not to be recognised again.
    key: str = ""


class Commander:
    """Sends commands and waits for what becomes of them."""

    def __init__(self, bus: Bus, timeout_seconds: float, repetitions: Repetitions) -> None:
        self._bus = bus
        self._timeout = timeout_seconds
        self._repetitions = repetitions

    async def ask(self, volume: VolumeName, command: Command, asker: Asker) -> Mapping[str, Any]:
        """Have a command done.

        Raises:
            PenstockError: as the actor refused it; or BusyError, DeadlineExceededError, ReusedKeyError.
        """
        envelope = await self.wrap(volume, command, asker)
        reply = await self._bus.commands.request(envelope, timeout_seconds=self._timeout)
        if reply.failure is not None:
            if asker.key and reply.failure.code is ErrorCode.DEADLINE_EXCEEDED:
                await self._repetitions.begin_anew(asker.key, asker.origin.actor, envelope.id)
            error = error_of(reply.failure)
            error.facts = {"volume": volume, "path": str(getattr(command, "folder", "")), **error.facts}
            raise error
        return reply.result

    async def is_repetition(self, asker: Asker) -> bool:
        """Whether this was asked for before: its answer is the one that was given, whatever has changed since."""
        return bool(asker.key) and await self._repetitions.is_known(asker.key, asker.origin.actor)

    async def once(self, asker: Asker, act: Callable[[], Awaitable[str]]) -> str:
        """What comes of something that is done once for all requests with this key. Raises as `act`."""
        if not asker.key:
            return await act()
        return await self._repetitions.once(asker.key, asker.origin.actor, act)

    async def tell(self, volume: VolumeName, command: Command, asker: Asker) -> UUID:
        """Have a command accepted, without waiting for it; returns its id.

        Raises:
            BusyError: too many wait.
            ReusedKeyError: its idempotency key stands for another request.
        """
        envelope = await self.wrap(volume, command, asker)
        await self._bus.commands.publish(envelope)
        return envelope.id

    async def wrap(self, volume: VolumeName, command: Command, asker: Asker) -> Envelope:
        """A command as it is sent, each time, by whoever asks with this key. Raises ReusedKeyError."""
        clock, origin = self._bus.clock, asker.origin
        id_ = clock.new_id()
        if asker.key:
            id_ = await self._repetitions.command_id(asker.key, origin.actor, volume, command)
        return wrap_command(command, id=id_, volume=volume, time=clock.now(), origin=origin)
