"""Copying a folder to where a new one is being made: what clones and migrations have in common."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeVar

from actors.counting import scope_usage, settling
from actors.jobs.running import Progress, RunningTask
from backends.contract import Volume
from backends.powers import BuildPlan, BuildsFolders, FolderTree, ShowsTrees, TreeCopy
from bus.accounts import Account
from bus.contract import Bus
from bus.room import take_room
from bus.task_pages import find_task
from domain.errors import NotFoundError, StorageFullError, Subject, UnsupportedError
from domain.ids import QuotaScopeId
from domain.paths import ROOT
from domain.tasks import TaskRecord

_T = TypeVar("_T", FolderTree, TreeCopy)

#: Age of a folder's count at which it is counted anew to judge a quota, in seconds.
_USAGE_MAX_AGE_SECONDS: Final = 300.0
#: How long is waited at most where others took the room at the same moment, in seconds.
_PAUSE_SECONDS: Final = 1.0


@dataclass(slots=True)
class Copying:
    """One attempt."""

    plan: BuildPlan
    source: Volume
    volume: Volume
    builder: BuildsFolders
    task: RunningTask
    attempt: str = field(default_factory=lambda: secrets.token_hex(16))
    #: What there is to copy, once that is known.
    total: Progress = field(default_factory=Progress)
    #: What it takes on the storage, once that was counted.
    allocated_bytes: int = 0
    #: Whether it counts, and was found to fit.
    is_admitted: bool = False

    @property
    def bus(self) -> Bus:
        """The bus the task's lease is of."""
        return self.task.bus

    @property
    def names(self) -> Mapping[str, Any]:
        """What commands of clones and migrations tell of themselves."""
        return names_of(self.plan)

    async def count(self) -> None:
        """Find out how much there is to copy. Raises NotFoundError (subject vfolder)."""
        usage = await self.source.usage(self.plan.source, staging=False)
        self.total = Progress(items_total=usage.entries, size_bytes_total=usage.file_bytes)
        self.allocated_bytes = usage.allocated_bytes

    async def recall(self) -> None:
        """Take what was told before for what there is to copy: an earlier attempt has found that it fits."""
        self.is_admitted = True
        known = await self._known()
        if known is not None:
            self.total = Progress(items_total=known.items_total, size_bytes_total=known.size_bytes_total)

    async def from_place(self) -> TreeCopy:
        """Copy the folder as it is at its place.

        Raises:
            NotFoundError: (subject vfolder) it is not there, or not any more; (subject task) an attempt before
                has come to its end.
            StorageFullError, QuotaExceededError: it does not fit.
        """
        if not isinstance(self.source, ShowsTrees):
            message = f"folders cannot be copied from backend {self.source.backend}"
            raise UnsupportedError(message, subject=Subject.VFOLDER)
        before = await self._identity()
        async with _closing(await self.source.tree(self.plan.source)) as tree:
            copy = await self._copy(tree)
            # What was deleted is purged, perhaps just ahead of who copies it: then this is not all it held.
            if await self._identity() != before:
                raise NotFoundError(f"{self.plan.source}: it has gone meanwhile", subject=Subject.VFOLDER)
        return copy

    async def _identity(self) -> int:
        return (await self.source.files(self.plan.source).stat(ROOT)).identity

    async def copy(self, tree: FolderTree) -> TreeCopy:
        """Copy a tree that nobody changes, and close it. Raises as `from_place`."""
        async with _closing(tree):
            return await self._copy(tree)

    async def _copy(self, tree: FolderTree) -> TreeCopy:
        async with _closing(await self.builder.copy_into(self.plan.id, self.attempt, tree)) as copy:
            if not self.is_admitted:
                await self._check_room(copy)
            while not await copy.step():
                await self.task.step(replace(self.total, items=copy.items, size_bytes=copy.size_bytes))
        return copy

    async def _check_room(self, copy: TreeCopy) -> None:
        """Refuse what cannot end well before anything is copied; who was here before may have died before that."""
        capacity = await self.volume.capacity()
        if not (copy.shares or copy.resumed) and self.allocated_bytes > capacity.free_bytes:
            message = f"{self.allocated_bytes} bytes are needed, {capacity.free_bytes} are free"
            raise StorageFullError(message, subject=Subject.VFOLDER)
        if self.plan.destination.scope is not None:
            await self._take_room(self.plan.destination.scope)
        self.is_admitted = True

    async def _take_room(self, scope: QuotaScopeId) -> None:
        """Have what is copied count with all that comes meanwhile. Raises QuotaExceededError: it does not fit."""
        await settling(self.volume, self.bus)()  # what was uploaded before may not have been told yet

        async def take() -> None:
            await self.task.tell_progress(self.total)
            await self._judge(scope)

        await take_room(take, lambda: self.task.tell_progress(Progress()), _PAUSE_SECONDS)

    async def _judge(self, scope: QuotaScopeId) -> None:
        account = Account(self.task.volume, scope)
        limit = await account.limit_bytes(self.bus.catalogue, await self.volume.quota(scope))
        if limit is None:
            return
        usage = scope_usage(self.volume, self.bus, _USAGE_MAX_AGE_SECONDS)
        more = 0 if await self._known() else self.total.size_bytes_total  # what was told of counts by itself
        taken = await account.taken_beside(usage, self.bus.catalogue, limit - more)
        if taken > limit - more:
            raise account.exceeded(limit, taken + more)

    async def _known(self) -> TaskRecord | None:
        """The task as it was told of; its actor may have died, or wait for Redis, before that."""
        try:
            return await find_task(self.bus.catalogue, self.task.id)
        except NotFoundError:
            return None


def names_of(plan: BuildPlan) -> Mapping[str, Any]:
    """What commands of clones and migrations tell of themselves."""
    return {"source": plan.source, "destination": plan.destination, "source_volume": plan.source_volume}


@asynccontextmanager
async def _closing(thing: _T) -> AsyncIterator[_T]:
    try:
        yield thing
    finally:
        await thing.close()
