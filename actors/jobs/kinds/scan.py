"""Counting what folders hold."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial

from actors.counting import settling
from actors.jobs.doing import Doing, Found
from backends.counting import counter
from bus.usage import counted
from domain.catalogue import usage_record
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
        try:
            found = await counted(catalogue, record, partial(count, folder), settle)
        except NotFoundError:
            continue  # it was deleted meanwhile
        usage, since = asdict(found.usage), asdict(found.since)
        await doing.task.tell(UsageMeasured(volume=doing.task.volume, folder=folder, **usage, **since))
        total.update(usage)
        total["folders"] += 1
        await doing.passed(found.usage.entries, found.usage.file_bytes)
    return Found(doing.progress.items, doing.progress.size_bytes, dict(total))
