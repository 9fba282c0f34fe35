"""Comparing files with their digests."""

from __future__ import annotations

from pydantic import JsonValue

from actors.jobs.doing import Doing, Found
from actors.scrub import UNREADABLE, Scrub
from domain.work import ScrubOptions


async def scrub(doing: Doing) -> Found:
    """Read file by file, and tell which are damaged, and which cannot be read."""
    options = ScrubOptions.model_validate(doing.work.options)
    work = Scrub(doing.task.bus, keep=options.keep)
    async for folder in doing.folders():
        async for file in work.folder(doing.volume, folder):
            if file.row is not None:
                doing.found(dict(file.row))
            doing.tally[file.found] += 1
            await doing.passed(1, file.read_bytes)
    unreadable = [row for row in doing.findings if _is_unreadable(row)]
    damaged = [row for row in doing.findings if not _is_unreadable(row)]
    result: dict[str, JsonValue] = {**doing.tally, "damaged_files": damaged, "unreadable_files": unreadable}
    return Found(doing.progress.items, doing.progress.size_bytes, result)


def _is_unreadable(row: JsonValue) -> bool:
    return isinstance(row, dict) and UNREADABLE in row
