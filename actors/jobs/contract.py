"""How an actor starts a job."""

from __future__ import annotations

from collections.abc import Mapping
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

    def message(self) -> Mapping[str, str]:
        """As the job queue carries it."""
        return {"volume": str(self.volume), "folder": str(self.folder), "trash": str(self.trash)}


class JobQueue(Protocol):
    """Where jobs go in. Delivery is at least once; a job is repeat-safe."""

    async def start_purge(self, job: PurgeJob) -> None:
        """Have a worker purge a trash entry, soon. Raises BusBrokenError."""
