"""What scopes and folders of a volume use, for those who work on it beside its actor."""

from __future__ import annotations

from functools import partial

from backends.contract import Volume
from backends.counting import counter
from backends.powers import outboxes
from bus.contract import Bus
from bus.relay import Relays
from bus.usage import ScopeUsage, Settle


def settling(volume: Volume, bus: Bus) -> Settle:
    """Returns when the bus has all that was told of on the volume before."""
    return partial(Relays(bus.outboxes, outboxes({volume.name: volume})).settle, volume.name)


def scope_usage(volume: Volume, bus: Bus, max_age_seconds: float, settle: Settle | None = None) -> ScopeUsage:
    """Usage of a volume's scopes and folders.

    Args:
        settle: as `settling`, if there is one already.
    """
    told = settle or settling(volume, bus)
    return ScopeUsage(bus.catalogue, bus.clock, volume.name, counter(volume), max_age_seconds, told)
