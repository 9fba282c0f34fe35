"""The bus the suite looks at."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from bus.conformance.words import SETTINGS
from bus.contract import Bus
from bus.settings import BusSettings


class OpensBus:
    """What each part of the suite begins with."""

    def open_bus(self, node: str, settings: BusSettings = SETTINGS) -> AbstractAsyncContextManager[Bus]:
        """A bus of a new member; all of one test share the same store."""
        raise NotImplementedError
