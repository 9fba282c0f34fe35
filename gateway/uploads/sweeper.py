"""Looks after uploads nobody asks about any more."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Final

import anyio
from loguru import logger

from domain.errors import PenstockError
from gateway.uploads.uploads import Uploads

#: Uploads looked after in one go.
_BATCH: Final = 1000


async def sweep_for_ever(uploads: Uploads, interval_seconds: float) -> None:
    """Sweep at intervals. Whatever goes wrong in one round, the next one comes."""
    while True:
        await _guarded(uploads.at_once.recover())
        await anyio.sleep(interval_seconds)
        await _guarded(uploads.sweep(_BATCH))


async def _guarded(looking: Awaitable[None]) -> None:
    try:
        await looking
    except PenstockError as error:
        logger.warning("looking for uploads to look after: {}", error)
    except Exception:  # noqa: BLE001  a defect here must not end the process
        logger.exception("looking for uploads to look after failed by a defect")
