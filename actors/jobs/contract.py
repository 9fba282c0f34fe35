"""How an actor starts a job."""

from __future__ import annotations

from typing import Protocol
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from domain.ids import VFolderId, VolumeName


class PurgeJob(BaseModel):
    """Remove what is left of a deleted folder."""

    model_config = ConfigDict(frozen=True)

    volume: VolumeName
    folder: VFolderId
    trash: UUID
    #: Whether it is what is left of files of the folder.
    files: bool = False

    @property
    def lease(self) -> str:
        """Name of the lease of whoever does it."""
        return f"job:purge:{self.trash}"


class CloneJob(BaseModel):
    """Copy a folder to where a new one is being made."""

    model_config = ConfigDict(frozen=True)

    #: Volume the new folder is made on.
    volume: VolumeName
    build: UUID

    @property
    def lease(self) -> str:
        """Name of the lease of whoever does it."""
        return f"job:clone:{self.build}"


class WorkJob(BaseModel):
    """Do what a volume has on its list of work."""

    model_config = ConfigDict(frozen=True)

    volume: VolumeName
    work: UUID

    @property
    def lease(self) -> str:
        """Name of the lease of whoever does it."""
        return f"job:work:{self.work}"


class JobQueue(Protocol):
    """Where jobs go in. Delivery is at least once; a job is repeat-safe."""

    async def start_purge(self, job: PurgeJob) -> None:
        """Have a worker purge a trash entry, soon. Raises BusBrokenError."""

    async def start_clone(self, job: CloneJob) -> None:
        """Have a worker copy a folder, soon. Raises BusBrokenError."""

    async def start_work(self, job: WorkJob) -> None:
        """Have a worker do something of the volume's list, soon. Raises BusBrokenError."""
