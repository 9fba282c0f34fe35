"""Who counts a folder: threads of this process, and others where there is much to count."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from typing import Final

import anyio
from anyio.abc import TaskGroup

from backends.mounted.beneath import Beneath
from backends.mounted.errors import translated
from backends.mounted.helpers import Helper
from backends.mounted.helping.looking import Sight
from backends.mounted.usage import Count
from backends.threads import VolumeThreads
from domain.errors import PenstockError, Subject
from domain.paths import RelativePath
from domain.usage import Usage

#: Entries one step of a thread looks at before other calls get their turn.
_STEP: Final = 5000
#: Directories of one request to a helper; it does as many as it comes to in its time.
_BATCH: Final = 256
#: How long one of several that count waits for another directory to look at, in seconds.
_IDLE_SECONDS: Final = 0.002


class Counting:
    """One count, by everybody who takes part.

    Args:
        open_root: opens the folder that is counted. Blocking.
    """

    def __init__(self, count: Count, open_root: Callable[[], Beneath], threads: VolumeThreads) -> None:
        self._total = count
        self._open_root = open_root
        self._threads = threads
        #: Processes that help, once it is known that there is much to count.
        self._helpers = threads.helpers - 1  # a thread here is one of those that count
        self._failures: list[PenstockError] = []

    async def run(self) -> Usage:
        """Count all of it. Raises what the first of them met."""
        async with anyio.create_task_group() as tasks:
            for _ in range(self._threads.scans):
                tasks.start_soon(self._quietly, self._on_a_thread, tasks)
        if self._failures:
            raise self._failures[0]
        return self._total.usage

    async def _quietly(self, work: Callable[..., Awaitable[None]], *args: object) -> None:
        try:
            await work(*args)
        except PenstockError as error:
            self._failures.append(error)
            self._total.stop()

    async def _on_a_thread(self, tasks: TaskGroup) -> None:
        while not self._total.is_done:
            if not await self._threads.run(self._count):
                await anyio.sleep(_IDLE_SECONDS)  # others are at the last directories
            while self._total.is_large and self._helpers > 0:
                self._helpers -= 1
                tasks.start_soon(self._quietly, self._elsewhere)

    def _count(self) -> bool:
        with self._below() as root:
            return self._total.step(root, _STEP)

    def _below(self) -> Beneath:
        return self._open_root()  # by a name of its own, for the metrics

    async def _elsewhere(self) -> None:
        with await self._threads.run(self._below) as root:
            local = str(int(root.mounted.is_local))
            helper = Helper("count", [root.fd], local, timeout_seconds=self._threads.timeout_seconds)
            try:
                await count_with(helper, self._total)
            finally:
                await helper.close()


async def count_with(helper: Helper, count: Count) -> None:
    """Have a process look at directories until there are none left. Raises as `Helper.ask`, and what it met."""
    while not count.is_done:
        paths = count.take(_BATCH)
        if not paths:
            await anyio.sleep(_IDLE_SECONDS)  # others are at the last directories
            continue
        seen: list[Sight | None] = []
        try:
            seen = await _ask(helper, count, paths)
        finally:
            for path, one in zip(paths, seen, strict=False):
                count.add(path, one)
            count.put_back(paths[len(seen) :])


async def _ask(helper: Helper, count: Count, paths: list[RelativePath]) -> list[Sight | None]:
    number, found = await helper.ask([(path.parts, count.leaves_out(path)) for path in paths])
    if number:
        with translated("counting", Subject.VFOLDER):
            raise OSError(number, os.strerror(number))
    return list(found)
