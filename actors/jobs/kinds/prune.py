"""Dropping old snapshots."""

from __future__ import annotations

from actors.jobs.doing import Doing, Found
from actors.jobs.running import derived_id
from backends.contract import Operation
from backends.powers import TakesSnapshots
from domain.errors import NotFoundError, Subject, UnsupportedError
from domain.work import PruneOptions


async def prune(doing: Doing) -> Found:
    """Keep the newest snapshots of each folder, and drop the others."""
    options = PruneOptions.model_validate(doing.work.options)
    volume = doing.volume
    if not isinstance(volume, TakesSnapshots):
        raise UnsupportedError(f"backend {volume.backend} has no snapshots", subject=Subject.VFOLDER)
    async for folder in doing.folders():
        try:
            names = await volume.snapshots(folder)
        except NotFoundError:
            continue  # it was deleted meanwhile
        for name in names[: max(len(names) - options.keep_last, 0)]:
            op = Operation(derived_id(doing.work.id, f"{folder}:{name}"))
            try:
                await volume.delete_snapshot(op, folder, name)
            except NotFoundError:
                continue  # somebody else was faster, or this was done before
            doing.tally["dropped"] += 1
            await doing.passed(1)
    return Found(doing.progress.items, result=dict(doing.tally))
