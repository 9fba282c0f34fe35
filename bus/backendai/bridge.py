"""Carries events to Backend.AI's Redis: each once, in order, and none is lost while nobody carries.

The bridge is a named reader of our broadcast, so events wait for it; one that cannot be sent is tried until it can.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import anyio
from loguru import logger

from bus.backendai.peer import Peer
from bus.backendai.translation import words
from bus.backendai.words import Word
from bus.contract import Broadcasted, Bus, Gap, Lease
from domain.errors import BusError, ConflictError, PenstockError
from domain.registry import open_event

READER: Final = "bridge:backendai"
_PAUSE_SECONDS: Final = 1.0


class Bridge:
    """Carries our events to one Backend.AI.

    Args:
        source: whom events are said to come from.
    """

    def __init__(self, bus: Bus, peer: Peer, source: str) -> None:
        self._bus = bus
        self._peer = peer
        self._source = source

    async def run(self) -> None:
        """Carry for ever; of several bridges one does."""
        while True:
            try:
                async with self._bus.leases.hold(READER, wait_seconds=0) as lease:
                    await self._carry(lease)
            except ConflictError:
                pass
            except (BusError, OSError) as error:
                logger.warning("carrying events to Backend.AI: {}", error)
            await anyio.sleep(_PAUSE_SECONDS)

    async def _carry(self, lease: Lease) -> None:
        # From now on, the first time; whatever happens after that waits for a bridge.
        async with self._bus.events.follow(READER) as subscription:
            logger.info("events are carried to Backend.AI")
            async for item in subscription:
                await lease.confirm()
                if isinstance(item, Gap):
                    logger.error("events were removed before they were carried to Backend.AI")
                elif said := self._words(item):
                    await self._peer.send(item.envelope.id, said, self._source)
                await subscription.save(item.position)

    def _words(self, item: Broadcasted) -> Sequence[Word]:
        try:
            return words(item.envelope, open_event(item.envelope))
        except PenstockError as error:
            logger.debug("an event of a later release is not carried: {}", error)
            return ()
