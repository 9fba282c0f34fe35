"""What every bus does, as tests."""

from __future__ import annotations

from bus.conformance.commands import Commands
from bus.conformance.events import Events
from bus.conformance.lanes import Lanes
from bus.conformance.members import Members
from bus.conformance.outboxes import Outboxes
from bus.conformance.records import Records
from bus.conformance.set_aside import SetAside
from bus.conformance.state import State
from bus.conformance.usages import Usages


class BusConformance(Commands, Lanes, SetAside, Members, Events, Outboxes, State, Usages, Records):
    """Subclass it and give `open_bus`."""
