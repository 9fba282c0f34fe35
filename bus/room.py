"""Taking room that others want as well.

Who takes room has it count before it is judged whether it fits, so that of two that come together not both have the
last of it. Then both may be refused, each because of the other; so they try again, out of step.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import anyio

from domain.errors import QuotaExceededError

T = TypeVar("T")

#: How often it is tried.
_TRIES: Final = 4


async def take_room(
    take: Callable[[], Awaitable[T]], give_back: Callable[[], Awaitable[None]], pause_seconds: float
) -> T:
    """Have something count and see that it fits.

    Args:
        take: one try to; where it fails something may count all the same.
        give_back: has nothing count; called between two tries.
        pause_seconds: how long is waited between two, at most.

    Raises:
        QuotaExceededError: it does not fit; something may count all the same.
    """
    for _ in range(_TRIES - 1):
        try:
            return await take()
        except QuotaExceededError:
            await give_back()
        await anyio.sleep(random.uniform(0, pause_seconds))  # noqa: S311  only to be out of step
    return await take()
