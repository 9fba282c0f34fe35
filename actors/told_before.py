"""What gateways have told of on a volume comes to the bus before what its actor tells."""

from __future__ import annotations

from typing import Final

import anyio
from loguru import logger

from bus.contract import Lane
from bus.relay import Relay
from domain.errors import BusBrokenError, PenstockError

_PAUSE_SECONDS: Final = 0.2


class ToldBefore:
    """Sees to the order of events of one volume while its lane is ours."""

    def __init__(self, relay: Relay | None, lane: Lane) -> None:
        self._relay = relay
        self._lane = lane

    async def settle(self) -> None:
        """Return when everything was taken over that was written in the volume's outbox before.

        Waits for the store to come back. Raises FencedError if the lane went to another owner meanwhile.
        """
        if self._relay is None:
            return
        while True:
            try:
                await self._relay.settle()
            except BusBrokenError:
                await self._lane.confirm()
                await anyio.sleep(_PAUSE_SECONDS)
            except PenstockError as error:
                # A storage that does not let its outbox be read must not keep outcomes from being told.
                logger.warning("{}: events may come out of order: {}", self._lane.volume, error)
                return
            else:
                return
