"""Telling processes that their settings were changed, and hearing of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

import anyio

from bus.contract import Bus, Gap
from domain.envelope import Envelope, Origin, wrap_event
from domain.errors import BusError
from domain.events import ConfigChanged
from domain.ids import VolumeName

_PAUSE_SECONDS: Final = 1.0


async def tell_of_settings(bus: Bus, volumes: Iterable[VolumeName]) -> None:
    """Have every process that has one of these volumes read its settings again."""
    clock = bus.clock
    for volume in volumes:
        event = ConfigChanged(volume=volume)
        origin = Origin(actor="operator")
        await bus.events.publish(wrap_event(event, id=clock.new_id(), time=clock.now(), origin=origin))


async def follow_settings(bus: Bus, volumes: frozenset[VolumeName], changed: Callable[[], None]) -> None:
    """Call `changed` whenever settings may have changed, for ever."""
    while True:
        try:
            async with bus.events.watch() as events:
                changed()  # what was told since the settings were read
                async for item in events:
                    if isinstance(item, Gap) or _concerns(item.envelope, volumes):
                        changed()
        except BusError:
            await anyio.sleep(_PAUSE_SECONDS)


def _concerns(event: Envelope, volumes: frozenset[VolumeName]) -> bool:
    return event.type == ConfigChanged.type and event.volume in volumes
