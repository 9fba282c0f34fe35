"""Accounts: what has limits, a scope or a folder of one volume, and which of them hold now.

Limits themselves are kept on the volume. The catalogue knows for how long a soft one has been passed; when that is
too long, it holds like a hard one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from bus.contract import Catalogue
from bus.index_pages import index_pages
from bus.usage import ScopeUsage
from domain.catalogue import Need, folder_quota_record, scope_record
from domain.errors import QuotaExceededError, Subject
from domain.ids import QuotaScopeId, VFolderId, VolumeName
from domain.tasks import TaskRecord, copies_index, task_record
from domain.usage import Quota


@dataclass(frozen=True, slots=True)
class Account:
    """A scope or a folder of one volume."""

    volume: VolumeName
    owner: QuotaScopeId | VFolderId

    @property
    def record(self) -> str:
        """Name of the record that tells how its limits stand."""
        if isinstance(self.owner, QuotaScopeId):
            return scope_record(self.owner, self.volume)
        return folder_quota_record(self.owner, self.volume)

    @property
    def reserved_index(self) -> str:
        """Name of the index of unfinished uploads that count against it; its members end on `:<bytes>`."""
        return f"index:uploads:{self.volume}:{self.owner}"

    async def reserved_bytes(self, catalogue: Catalogue) -> int:
        """Sum of what unfinished uploads, and folders that are being copied to it, have reserved."""
        uploads = index_pages(catalogue, self.reserved_index)
        total = sum([sum(int(member.rpartition(":")[2]) for member in members) async for members in uploads])
        if isinstance(self.owner, VFolderId):
            return total  # a folder is copied whole, into none that is there
        copies = index_pages(catalogue, copies_index(self.owner, self.volume))
        return total + sum([await _copied_bytes(catalogue, tasks) async for tasks in copies])

    async def used_bytes(self, usage: ScopeUsage, need: Need = Need.CURRENT) -> int:
        """What it uses."""
        if isinstance(self.owner, QuotaScopeId):
            return await usage.used_bytes(self.owner, need)
        return await usage.folder_bytes(self.owner, need)

    async def taken_bytes(self, usage: ScopeUsage, catalogue: Catalogue, need: Need) -> int:
        """What it uses, with what is reserved; what comes to its end meanwhile may be in both."""
        if need is Need.CERTAIN:
            # Counting may take long, and what is reserved is looked at behind it.
            await self.used_bytes(usage, need)
            need = Need.BOUND
        # In this order, so that what ends meanwhile is in one of them at least.
        reserved = await self.reserved_bytes(catalogue)
        return reserved + await self.used_bytes(usage, need)

    async def taken_beside(self, usage: ScopeUsage, catalogue: Catalogue, most: int) -> int:
        """The same; if that is more than `most`, it is so for certain."""
        taken = await self.taken_bytes(usage, catalogue, Need.BOUND)
        return taken if taken <= most else await self.taken_bytes(usage, catalogue, Need.CERTAIN)

    async def limit_bytes(self, catalogue: Catalogue, quota: Quota) -> int | None:
        """The limit that holds now; None: none."""
        if quota.soft_bytes is None:
            return quota.limit_bytes
        (fields,) = await catalogue.fields([self.record])
        return quota.effective_bytes(soft_enforced=is_enforced(fields or {}))

    def exceeded(self, limit: int, wanted: int) -> QuotaExceededError:
        """What whoever wants more is told."""
        subject = Subject.QUOTA_SCOPE if isinstance(self.owner, QuotaScopeId) else Subject.VFOLDER
        message = f"{self.owner} would use {wanted} of {limit} bytes"
        return QuotaExceededError(message, subject=subject, wanted_bytes=wanted, limit_bytes=limit)


async def _copied_bytes(catalogue: Catalogue, tasks: Sequence[str]) -> int:
    records = await catalogue.fields([task_record(UUID(task)) for task in tasks])
    told = [(task, fields) for task, fields in zip(tasks, records, strict=True) if fields and "kind" in fields]
    return sum(TaskRecord.parse(UUID(task), fields).wanted_bytes for task, fields in told)


def is_enforced(fields: Mapping[str, str]) -> bool:
    """Whether a soft limit was passed for so long that it holds now."""
    return fields.get("soft_enforced") == "1"
