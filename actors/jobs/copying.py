"""Copying a folder to where a new one is being made: what clones and migrations have in common."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from actors.counting import scope_usage
from actors.jobs.running import Progress, RunningTask
from backends.contract import Volume
from backends.powers import BuildPlan, BuildsFolders, FolderTree, ShowsTrees, TreeCopy
from bus.accounts import Account
from bus.contract import Bus
from domain.errors import StorageFullError, Subject, UnsupportedError
from domain.usage import Usage

#: Age of a folder's count at which it is counted anew to judge a quota, in seconds.
_USAGE_MAX_AGE_SECONDS: Final = 300.0


@dataclass(slots=True)
class Copying:
    """One attempt."""

    plan: BuildPlan
    source: Volume
    volume: Volume
    builder: BuildsFolders
    task: RunningTask
    attempt: str = field(default_factory=lambda: secrets.token_hex(16))
    #: What there is to copy, once that was counted.
    total: Usage = field(default_factory=Usage)

    @property
    def bus(self) -> Bus:
        """The bus the task's lease is of."""
        return self.task.bus

    @property
    def names(self) -> Mapping[str, Any]:
        """What commands of clones and migrations tell of themselves."""
        return {
            "source": self.plan.source,
            "destination": self.plan.destination,
            "source_volume": self.plan.source_volume,
        }

    async def count(self) -> None:
        """Find out how much there is to copy. Raises NotFoundError (subject vfolder)."""
        self.total = await self.source.usage(self.plan.source, staging=False)

    async def from_place(self) -> TreeCopy:
        """Copy the folder as it is at its place.

        Raises:
            NotFoundError: (subject vfolder) it is not there; (subject task) the attempt before has come to its end.
            StorageFullError, QuotaExceededError: it does not fit.
        """
        if not isinstance(self.source, ShowsTrees):
            message = f"folders cannot be copied from backend {self.source.backend}"
            raise UnsupportedError(message, subject=Subject.VFOLDER)
        return await self.copy(await self.source.tree(self.plan.source))

    async def copy(self, tree: FolderTree) -> TreeCopy:
        """Copy a tree, which is closed in the end. Raises as `from_place`."""
        async with _closing(tree):
            copy = await self.builder.copy_into(self.plan.id, self.attempt, tree)
            async with _closing(copy):
                if not copy.resumed:
                    await self._check_room(shares=copy.shares)
                while not await copy.step():
                    known = Progress(copy.items, self.total.entries, copy.size_bytes, self.total.file_bytes)
                    await self.task.step(known)
        return copy

    async def _check_room(self, *, shares: bool) -> None:
        """Refuse what cannot end well before anything is copied."""
        total = self.total
        capacity = await self.volume.capacity()
        if not shares and total.allocated_bytes > capacity.free_bytes:
            message = f"{total.allocated_bytes} bytes are needed, {capacity.free_bytes} are free"
            raise StorageFullError(message, subject=Subject.VFOLDER)
        scope = self.plan.destination.scope
        if scope is None:
            return
        account = Account(self.task.volume, scope)
        limit = await account.limit_bytes(self.bus.catalogue, await self.volume.quota(scope))
        if limit is None:
            return
        usage = scope_usage(self.volume, self.bus, _USAGE_MAX_AGE_SECONDS)
        wanted = total.file_bytes + await account.taken_beside(usage, self.bus.catalogue, limit - total.file_bytes)
        if wanted > limit:
            raise account.exceeded(limit, wanted)


@asynccontextmanager
async def _closing(thing: FolderTree | TreeCopy) -> AsyncIterator[None]:
    try:
        yield
    finally:
        await thing.close()
