"""Counting what folders hold."""

from __future__ import annotations

from actors.jobs.doing import Doing, Found
from backends.counting import counter
from domain.errors import NotFoundError
from domain.events import UsageMeasured
from domain.work import ScanOptions


async def scan(doing: Doing) -> Found:
    """Count folder by folder, and tell what each of them holds."""
    options = ScanOptions.model_validate(doing.work.options)
    count, total = counter(doing.volume, full=options.full), doing.tally
    async for folder in doing.folders():
        try:
            usage = await count(folder)
        except NotFoundError:
            continue  # it was deleted meanwhile
        told = UsageMeasured(
            volume=doing.task.volume,
            folder=folder,
            entries=usage.entries,
            files=usage.files,
            file_bytes=usage.file_bytes,
            logical_bytes=usage.logical_bytes,
            allocated_bytes=usage.allocated_bytes,
        )
        await doing.task.tell(told)
        total.update(told.model_dump(exclude={"volume", "folder"}))
        total["folders"] += 1
        await doing.passed(usage.entries, usage.file_bytes)
    return Found(doing.progress.items, doing.progress.size_bytes, dict(total))
