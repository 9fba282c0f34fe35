"""Asking a volume's actor, on behalf of a request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from bus.contract import Bus
from domain import errors
from domain.envelope import Envelope, Failure, Origin, wrap_command
from domain.errors import ErrorCode, PenstockError, Subject
from domain.ids import VolumeName
from domain.messages import Command
from gateway.repetitions import Repetitions


def _by_code() -> Mapping[ErrorCode, type[PenstockError]]:
    found: dict[ErrorCode, type[PenstockError]] = {}
    for value in vars(errors).values():
        if isinstance(value, type) and issubclass(value, PenstockError) and "code" in vars(value):
            found[value.code] = value
    return found


_CLASSES: Final = _by_code()


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
        envelope = await self._wrap(volume, command, asker)
        reply = await self._bus.commands.request(envelope, timeout_seconds=self._timeout)
        if reply.failure is not None:
            raise error_of(reply.failure)
        return reply.result

    async def tell(self, volume: VolumeName, command: Command, asker: Asker) -> UUID:
        """Have a command accepted, without waiting for it; returns its id.

        Raises:
            BusyError: too many wait.
            ReusedKeyError: its idempotency key stands for another request.
        """
        envelope = await self._wrap(volume, command, asker)
        await self._bus.commands.publish(envelope)
        return envelope.id

    async def _wrap(self, volume: VolumeName, command: Command, asker: Asker) -> Envelope:
        clock, origin = self._bus.clock, asker.origin
        id_ = clock.new_id()
        if asker.key:
            id_ = await self._repetitions.command_id(asker.key, origin.actor, volume, command)
        return wrap_command(command, id=id_, volume=volume, time=clock.now(), origin=origin)


def error_of(failure: Failure) -> PenstockError:
    """The error an actor told of, as if it had been raised here."""
    subject = Subject(failure.subject) if failure.subject in list(Subject) else Subject.NONE
    if failure.code is ErrorCode.BUSY:
        return errors.BusyError(failure.detail, retry_after_seconds=1.0)
    return _CLASSES[failure.code](failure.detail, subject=subject)
