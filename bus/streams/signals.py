"""Signals over pub/sub."""

from __future__ import annotations

from collections import defaultdict

import anyio

from bus.streams import keys
from bus.streams.wiring import Wiring


class StreamSignals:
    """Hears signals on the doorbell connection; when that was lost, each may have been rung."""

    def __init__(self, wiring: Wiring) -> None:
        self._link = wiring.link
        self._rung: dict[str, anyio.Event] = defaultdict(anyio.Event)
        wiring.bells.on(keys.SIGNALS, self._hear)
        wiring.bells.on_return(self._return)

    async def ring(self, name: str) -> None:
        """Have everybody who waits for it look."""
        await self._link.execute("PUBLISH", keys.SIGNALS, name)

    async def wait(self, name: str) -> None:
        """Return when it was rung, or may have been."""
        await self._rung[name].wait()
        self._rung[name] = anyio.Event()

    def _hear(self, data: bytes) -> None:
        self._rung[data.decode("utf-8", "replace")].set()

    def _return(self) -> None:
        for event in self._rung.values():
            event.set()
