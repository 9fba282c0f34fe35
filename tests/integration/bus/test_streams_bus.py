"""The Redis bus keeps the bus's promises, on every server it must work on."""

from contextlib import AbstractAsyncContextManager

import pytest
from pydantic import SecretStr

from bus.conformance import BusConformance
from bus.conformance.words import SETTINGS
from bus.contract import Bus
from bus.settings import BusSettings
from bus.streams import open_streams_bus


@pytest.mark.anyio
class TestStreamsBus(BusConformance):
    @pytest.fixture(autouse=True)
    def server(self, clean_redis) -> None:
        self._url = SecretStr(clean_redis.url)

    def open_bus(self, node: str, settings: BusSettings = SETTINGS) -> AbstractAsyncContextManager[Bus]:
        return open_streams_bus(settings.model_copy(update={"url": self._url}), node)
