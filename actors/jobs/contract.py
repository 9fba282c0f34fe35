"""How an actor starts a job."""

from __future__ import annotations

from typing import ClassVar, Protocol
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from domain.ids import VFolderId, VolumeName


class Job(BaseModel):
    """Something a worker is to do with a volume."""

    model_config = ConfigDict(frozen=True)

    #: What it is called on the queue.
    name: ClassVar[str]

    volume: VolumeName

    @property
    def id(self) -> UUID:
        """What it is done with, on the volume's own list."""
        raise NotImplementedError(self.name)

    @property
    def lease(self) -> str:
        """Name of the lease of whoever does it."""
        return f"job:{self.name}:{self.id}"


class PurgeJob(Job):
    """Remove what is left of a deleted folder."""

    name = "purge"

    folder: VFolderId
    trash: UUID
    #: Whether it is what is left of files of the folder.
    files: bool = False

    @property
    def id(self) -> UUID:
        return self.trash


class CloneJob(Job):
    """Copy a folder to where a new one is being made, which is on this volume."""

    name = "clone"

    build: UUID

    @property
    def id(self) -> UUID:
        return self.build


class WorkJob(Job):
    """Do what a volume has on its list of work."""

    name = "work"

    work: UUID

    @property
    def id(self) -> UUID:
        return self.work


class JobQueue(Protocol):
    """Where jobs go in. Delivery is at least once; a job is repeat-safe."""

    async def start(self, job: Job) -> None:
        """Have a worker do it, soon. Raises BusBrokenError."""
