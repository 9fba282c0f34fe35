"""The memory bus keeps the bus's promises."""

from contextlib import AbstractAsyncContextManager

import pytest

from bus.conformance import BusConformance
from bus.conformance.words import SETTINGS
from bus.contract import Bus
from bus.memory import MemoryStore, open_memory_bus
from bus.settings import BusSettings


@pytest.mark.anyio
class TestMemoryBus(BusConformance):
    @pytest.fixture(autouse=True)
    def store(self) -> None:
        self._store = MemoryStore()

    def open_bus(self, node: str, settings: BusSettings = SETTINGS) -> AbstractAsyncContextManager[Bus]:
        return open_memory_bus(self._store, settings, node)
