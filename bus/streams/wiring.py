"""What every part of the Redis bus is built from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from bus.observer import BusObserver
from bus.settings import BusSettings
from bus.streams.bells import Bells
from bus.streams.clock import RedisClock
from bus.streams.connection import Connections
from bus.streams.link import Link
from bus.streams.scripts import Scripts

#: How far the clock by which something has its time may have been from Redis's, in seconds.
CLOCKS_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class Wiring:
    """Shared by the parts of one process's bus."""

    node: str
    settings: BusSettings
    observer: BusObserver
    connections: Connections
    #: For short commands.
    link: Link
    scripts: Scripts
    clock: RedisClock
    bells: Bells
