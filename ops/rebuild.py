"""`penstock rebuild`: what events tell, for comparing it with what is on the volumes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from uuid import UUID

from bus.contract import Bus
from domain.envelope import Envelope
from domain.errors import MalformedEventError, UnsupportedError
from domain.projection import project
from domain.view import View
from ops.replay import Range, messages


async def view_of(bus: Bus, chosen: Range) -> View:
    """What the events of a range make of the catalogue.

    Of an archive, and of what the bus has besides: events of the last moments before everything was lost may only
    have come back from the volumes' outboxes.
    """
    view = View()
    async for event in _events(bus, chosen):
        try:
            for change in project(event):
                view.apply(change)
        except (UnsupportedError, MalformedEventError):
            continue  # of another release; it changes nothing this one knows of
    return view


async def _events(bus: Bus, chosen: Range) -> AsyncIterator[Envelope]:
    streamed = replace(chosen, archive=None)
    besides: set[UUID] = set()
    if chosen.archive is not None:
        besides = {event.id async for event in _readable(bus, streamed)}
    async for event in _readable(bus, chosen):
        besides.discard(event.id)
        yield event
    if besides:
        async for event in _readable(bus, streamed):
            if event.id in besides:
                yield event


async def _readable(bus: Bus, chosen: Range) -> AsyncIterator[Envelope]:
    async for stored in messages(bus, chosen):
        if stored.envelope is not None:
            yield stored.envelope
