"""Counting what a folder holds, by the quickest means a volume has."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from backends.contract import Volume
from backends.powers import CountsFast, Recounts
from domain.ids import VFolderId
from domain.usage import Usage


def counter(volume: Volume, *, full: bool = False) -> Callable[[VFolderId], Awaitable[Usage]]:
    """How to count a folder of a volume, unfinished uploads left out.

    Args:
        full: also look at what nothing says has changed.
    """

    async def count(folder: VFolderId) -> Usage:
        if isinstance(volume, CountsFast):
            return await volume.fast_usage(folder)
        if isinstance(volume, Recounts):
            return await volume.recount(folder, full=full)
        return await volume.usage(folder, staging=False)

    return count
