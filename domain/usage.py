"""Numbers about storage: what is used, what is allowed, what there is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Usage:
    """What a folder holds, counted at one moment. Unfinished uploads count only where it is said so."""

    #: Files, directories and symbolic links below the folder.
    entries: int = 0
    #: Regular files only.
    files: int = 0
    #: Sum of the sizes of all entries, directories included, as `stat` reports them.
    logical_bytes: int = 0
    #: Sum of the sizes of regular files; a hard-linked file counts once. Quotas count this.
    file_bytes: int = 0
    #: Blocks the file system has given, the folder's own included, as `du` counts.
    allocated_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Quota:
    """Limits of a scope or a folder, and what it uses if that is known without counting."""

    #: Never to be passed.
    limit_bytes: int | None = None
    used_bytes: int | None = None
    #: May be passed for some time.
    soft_bytes: int | None = None

    def effective_bytes(self, *, soft_enforced: bool) -> int | None:
        """What holds now; None: nothing does."""
        soft = self.soft_bytes if soft_enforced else None
        return min((limit for limit in (self.limit_bytes, soft) if limit is not None), default=None)


@dataclass(frozen=True, slots=True)
class Capacity:
    """Size of the volume's file system and how much of it is taken, by anyone."""

    total_bytes: int
    used_bytes: int

    @property
    def free_bytes(self) -> int:
        """Bytes not taken."""
        return max(0, self.total_bytes - self.used_bytes)


class HealthStatus(StrEnum):
    """How a volume is, in Backend.AI's words."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, slots=True)
class Health:
    """How a volume is, with a sentence for people and facts for programs."""

    status: HealthStatus
    info: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
