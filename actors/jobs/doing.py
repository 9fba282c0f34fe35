"""What somebody who does a piece of work has at hand."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import anyio
import msgpack
from pydantic import JsonValue

from actors.jobs.running import Progress, RunningTask
from backends.contract import Volume
from backends.powers import KeepsWork, Work
from domain.ids import VFolderId

#: Least time between two checkpoints, in seconds; what was done after the last one is done again.
_KEEP_SECONDS: Final = 1.0
#: Findings told of one task; how many there are is counted.
_MOST_FINDINGS: Final = 1000


@dataclass(frozen=True, slots=True)
class Found:
    """What came of it."""

    items: int
    size_bytes: int = 0
    result: Mapping[str, JsonValue] = field(default_factory=dict)


@dataclass(slots=True)
class Doing:
    """One attempt at a piece of work."""

    work: Work
    volume: Volume
    keeper: KeepsWork
    task: RunningTask
    progress: Progress = field(default_factory=Progress)
    #: What was counted, and found, so far.
    tally: Counter[str] = field(default_factory=Counter)
    findings: list[JsonValue] = field(default_factory=list)
    #: The last folder that is done, and when this was kept.
    after: str = ""
    kept: float = 0.0

    async def recover(self) -> None:
        """Go on from what an earlier attempt has kept."""
        state = await self.keeper.checkpointed(self.work.id)
        if state:
            self.after, items, size_bytes, tally, self.findings = msgpack.unpackb(state)
            self.progress, self.tally = Progress(items=items, size_bytes=size_bytes), Counter(tally)

    async def passed(self, items: int, size_bytes: int = 0) -> None:
        """Say that so much more was dealt with; raises as `RunningTask.step`."""
        known = self.progress
        self.progress = replace(known, items=known.items + items, size_bytes=known.size_bytes + size_bytes)
        await self.task.step(self.progress)

    def found(self, finding: JsonValue) -> None:
        """Remember a finding, to be told in the end."""
        if len(self.findings) < _MOST_FINDINGS:
            self.findings.append(finding)

    async def folders(self) -> AsyncIterator[VFolderId]:
        """The folders it is done with, in an order that stays; those done before the last checkpoint are left out.

        What was asked for before the next one is done; that is kept now and then.
        """
        if self.work.folder is not None:
            yield self.work.folder
            return
        found = [str(folder) async for folder in self.volume.folders()]
        found.sort()
        for name in found[bisect_right(found, self.after) :]:
            yield VFolderId.parse(name)
            self.after = name
            if anyio.current_time() >= self.kept + _KEEP_SECONDS:
                await self._keep()

    async def _keep(self) -> None:
        known = self.progress
        state = (self.after, known.items, known.size_bytes, self.tally, self.findings)
        await self.keeper.checkpoint(self.work.id, msgpack.packb(state))
        self.kept = anyio.current_time()
