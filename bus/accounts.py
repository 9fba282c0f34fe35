"""Accounts: what has limits, a scope or a folder of one volume, and which of them hold now.

Limits themselves are kept on the volume. The catalogue knows for how long a soft one has been passed; when that is
too long, it holds like a hard one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bus.contract import Catalogue
from bus.index_pages import index_pages
from bus.usage import ScopeUsage
from domain.arrivals import arrivals_index, member_bytes, member_record
from domain.catalogue import Need, folder_quota_record, scope_record
from domain.errors import QuotaExceededError, Subject
from domain.ids import QuotaScopeId, VFolderId, VolumeName
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
        """Sum of what unfinished uploads, and folders that are on their way to it, have reserved."""
        uploads = index_pages(catalogue, self.reserved_index)
        total = sum([sum(int(member.rpartition(":")[2]) for member in members) async for members in uploads])
        if isinstance(self.owner, VFolderId):
            return total  # a folder comes whole, into none that is there
        return total + await self._arriving_bytes(catalogue, self.owner)

    async def _arriving_bytes(self, catalogue: Catalogue, scope: QuotaScopeId) -> int:
        total = 0
        async for members in index_pages(catalogue, arrivals_index(scope, self.volume)):
            records = await catalogue.fields([member_record(member, self.volume) for member in members])
            told = [(member, fields) for member, fields in zip(members, records, strict=True) if fields]
            total += sum(member_bytes(member, fields) for member, fields in told)
        return total

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


def is_enforced(fields: Mapping[str, str]) -> bool:
    """Whether a soft limit was passed for so long that it holds now."""
    return fields.get("soft_enforced") == "1"
