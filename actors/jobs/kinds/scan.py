"""Counting what folders hold."""

from __future__ import annotations

from collections import Counter

from actors.jobs.doing import Doing, Found
from backends.powers import CountsFast, Recounts
from domain.errors import NotFoundError
from domain.events import UsageMeasured
from domain.ids import VFolderId
from domain.usage import Usage
from domain.work import ScanOptions


async def scan(doing: Doing) -> Found:
    """Count folder by folder, and tell what each of them holds."""
    options = ScanOptions.model_validate(doing.work.options)
    total: Counter[str] = doing.tally
    async for folder in doing.folders():
        try:
            usage = await _count(doing, folder, full=options.full)
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


async def _count(doing: Doing, folder: VFolderId, *, full: bool) -> Usage:
    volume = doing.volume
    if isinstance(volume, CountsFast):
        return await volume.fast_usage(folder)
    if isinstance(volume, Recounts):
        return await volume.recount(folder, full=full)
    return await volume.usage(folder, staging=False)
