"""Comparing files with their digests."""

from __future__ import annotations

from pydantic import JsonValue

from actors.jobs.doing import Doing, Found
from actors.scrub import Scrub
from domain.work import ScrubOptions


async def scrub(doing: Doing) -> Found:
    """Read file by file, and tell which are damaged."""
    options = ScrubOptions.model_validate(doing.work.options)
    work = Scrub(doing.task.bus, keep=options.keep)
    async for folder in doing.folders():
        async for file in work.folder(doing.volume, folder):
            if file.row is not None:
                doing.found(dict(file.row))
            doing.tally[file.integrity] += 1
            await doing.passed(1, file.read_bytes)
    result: dict[str, JsonValue] = {**doing.tally, "damaged_files": list(doing.findings)}
    return Found(doing.progress.items, doing.progress.size_bytes, result)
