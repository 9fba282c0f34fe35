"""`penstock rebuild`: what events tell, for comparing it with what is on the volumes."""

from __future__ import annotations

from bus.contract import Bus
from domain.errors import MalformedEventError, UnsupportedError
from domain.projection import project
from domain.view import View
from ops.replay import Range, messages


async def view_of(bus: Bus, chosen: Range) -> View:
    """What the events of a range make of the catalogue."""
    view = View()
    async for stored in messages(bus, chosen):
        if stored.envelope is None:
            continue
        try:
            for change in project(stored.envelope):
                view.apply(change)
        except (UnsupportedError, MalformedEventError):
            continue  # of another release; it changes nothing this one knows of
    return view
