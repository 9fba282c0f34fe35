"""Folders that are not there, on the routes where Backend.AI tells that by 410: its manager then forgets them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bus.contract import Catalogue
from domain.errors import GoneError, LockedError, NotFoundError, Subject
from gateway.statuses import explained


@asynccontextmanager
async def gone(catalogue: Catalogue) -> AsyncIterator[None]:
    """Tell of a folder that is not there as gone; of one that will be there again as locked."""
    try:
        yield
    except NotFoundError as error:
        if error.subject is not Subject.VFOLDER:
            raise
        known = await explained(catalogue, error)
        if isinstance(known, LockedError):
            raise known from error
        # Without its volume, nobody asks once more why it is not there.
        facts = {name: fact for name, fact in known.facts.items() if name != "volume"}
        raise GoneError(known.message, subject=Subject.VFOLDER, **facts) from error
