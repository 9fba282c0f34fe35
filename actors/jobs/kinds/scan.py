"""Counting what folders hold."""

from __future__ import annotations

from dataclasses import asdict

from actors.counting import settling
from actors.jobs.doing import Doing, Found
from backends.counting import counter
from bus.usage import usage_marks
from domain.catalogue import Remove, usage_record
from domain.errors import NotFoundError
from domain.events import UsageMeasured
from domain.work import ScanOptions


async def scan(doing: Doing) -> Found:
    """Count folder by folder, and tell what each of them holds."""
    options = ScanOptions.model_validate(doing.work.options)
    count, total = counter(doing.volume, full=options.full), doing.tally
    catalogue, settle = doing.task.bus.catalogue, settling(doing.volume, doing.task.bus)
    async for folder in doing.folders():
        record = usage_record(folder, doing.task.volume)
        since = await usage_marks(catalogue, record)
        try:
            usage = await count(folder)
        except NotFoundError:
            await catalogue.apply([Remove(record)])
            continue  # it was deleted meanwhile
        # What the count may have met has to be told before it, or it would be counted in once more.
        await settle()
        told = UsageMeasured(
            volume=doing.task.volume,
            folder=folder,
            entries=usage.entries,
            files=usage.files,
            file_bytes=usage.file_bytes,
            logical_bytes=usage.logical_bytes,
            allocated_bytes=usage.allocated_bytes,
            changes=since.changes,
            added_bytes=since.added_bytes,
            added_files=since.added_files,
            made=since.made,
        )
        await doing.task.tell(told)
        total.update(asdict(usage))
        total["folders"] += 1
        await doing.passed(usage.entries, usage.file_bytes)
    return Found(doing.progress.items, doing.progress.size_bytes, dict(total))
