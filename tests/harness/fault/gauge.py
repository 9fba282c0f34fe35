"""How much waits on the lanes of a fault run."""

from __future__ import annotations

import anyio
from harness.fault.plan import Plan
from harness.fault.words import History

from bus.streams import open_streams_bus
from domain.errors import BusBrokenError
from domain.ids import VolumeName

#: How often it is looked, in seconds.
_LOOK_SECONDS = 0.1


async def watch_depth(plan: Plan, history: History, stop: anyio.Event) -> None:
    """Note the most that ever waited on one lane, until it is over."""
    while not stop.is_set():
        try:
            async with open_streams_bus(plan.bus_settings(), "gauge") as bus:
                while not stop.is_set():
                    for name in plan.volumes:
                        lane = await bus.inspection.lane(VolumeName(name))
                        history.deepest = max(history.deepest, lane.waiting)
                    await anyio.sleep(_LOOK_SECONDS)
        except* BusBrokenError:
            await anyio.sleep(_LOOK_SECONDS)
