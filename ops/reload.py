"""Telling processes that their settings were changed, and hearing of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from bus.contract import Bus
from domain.envelope import Origin, wrap_event
from domain.events import ConfigChanged
from domain.ids import VolumeName

_SIGNAL: Final = "settings"


async def tell_of_settings(bus: Bus, volumes: Iterable[VolumeName]) -> None:
    """Have every process read its settings again, and tell followers of these volumes' events."""
    clock, origin = bus.clock, Origin(actor="operator")
    for volume in volumes:
        event = ConfigChanged(volume=volume)
        await bus.events.publish(wrap_event(event, id=clock.new_id(), time=clock.now(), origin=origin))
    await bus.signals.ring(_SIGNAL)


async def follow_settings(bus: Bus, changed: Callable[[], None]) -> None:
    """Call `changed` whenever settings may have changed, for ever; at first for what was before this began."""
    while True:
        changed()
        await bus.signals.wait(_SIGNAL)
