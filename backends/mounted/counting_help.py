"""Counting with the help of another process."""

from __future__ import annotations

import os
from typing import Any, Final

import anyio

from backends.mounted.errors import translated
from backends.mounted.helpers import Helper
from backends.mounted.usage import Count, Seen
from backends.mounted.usage_memory import Identity
from backends.mounted.usage_reading import Link, Reading, Tally
from domain.errors import Subject
from domain.paths import RelativePath

#: Directories of one request.
_BATCH: Final = 24
#: How long is waited for another directory to look at, in seconds.
_IDLE_SECONDS: Final = 0.002


async def count_with(helper: Helper, count: Count) -> None:
    """Have a process look at directories until there are none left. Raises as `Helper.ask`, and what it met."""
    while not count.is_done:
        paths = count.take(_BATCH)
        if not paths:
            await anyio.sleep(_IDLE_SECONDS)  # others are at the last directories
            continue
        seen: list[Seen | None] = [None] * len(paths)
        try:
            seen = await _ask(helper, paths)
        finally:
            for path, one in zip(paths, seen, strict=True):
                count.add(path, one)


async def _ask(helper: Helper, paths: list[RelativePath]) -> list[Seen | None]:
    number, found = await helper.ask([path.parts for path in paths])
    if number:
        with translated("counting", Subject.VFOLDER):
            raise OSError(number, os.strerror(number))
    return [None if one is None else _seen(one) for one in found]


def _seen(told: Any) -> Seen:
    identity, blocks, (tally, names, links) = told
    return Seen(Identity(*identity), blocks, Reading(Tally(*tally), names, [Link(*link) for link in links]))
