"""Telling of changes inside folders: on the volume, in the step that makes them durable, or straight to the bus."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from backends.contract import Tell
from bus.contract import Bus
from bus.emission import Emission
from bus.relay import Relays
from domain.envelope import Envelope, Origin, wrap_event
from domain.ids import VolumeName
from domain.messages import Event

T = TypeVar("T")


class Teller:
    """Publishes what this gateway has done. Events of a volume come to the bus in the order they were told of."""

    def __init__(self, bus: Bus, relays: Relays) -> None:
        self._bus = bus
        self._relays = relays

    async def change(
        self,
        volume: VolumeName,
        origin: Origin,
        change: Callable[[Tell[T]], Awaitable[T]],
        event_of: Callable[[T], Event | None],
    ) -> T:
        """Do a change and tell of it; when this returns, it is durable that it will be told.

        Args:
            event_of: what is to be told of what came of the change; None: nothing. May be called on another thread.
        """
        told: list[Emission] = []

        def words(result: T) -> bytes:
            event = event_of(result)
            if event is None:
                return b""
            told.append(Emission(self._wrapped(event, origin)))
            return told[-1].encode()

        tell = Tell(words)
        result = await change(tell)
        if tell.place is not None:
            self._relays.wake(volume, tell.place, told[-1])
        elif told or words(result):
            await self.publish(told[-1].event)
        return result

    async def tell(self, event: Event, origin: Origin) -> None:
        """Publish an event straight away."""
        await self.publish(self._wrapped(event, origin))

    async def publish(self, event: Envelope) -> None:
        """Publish an event behind all that was told before."""
        await self._relays.settle(event.volume)
        await self._bus.events.publish(event)

    def _wrapped(self, event: Event, origin: Origin) -> Envelope:
        return wrap_event(event, id=self._bus.clock.new_id(), time=self._bus.clock.now(), origin=origin)
