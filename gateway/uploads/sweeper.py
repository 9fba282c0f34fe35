"""Looks after uploads nobody asks about any more."""

from __future__ import annotations

from typing import Final

import anyio
from loguru import logger

from domain.errors import BusError
from gateway.uploads.uploads import Uploads

#: Uploads looked after in one go.
_BATCH: Final = 1000


async def sweep_for_ever(uploads: Uploads, interval_seconds: float) -> None:
    """Sweep at intervals."""
    while True:
        await uploads.recover()
        await anyio.sleep(interval_seconds)
        try:
            await uploads.sweep(_BATCH)
        except BusError as error:
            logger.warning("looking for uploads to look after: {}", error)
