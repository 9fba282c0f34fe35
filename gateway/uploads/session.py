"""An upload's shared record.

open -> committing -> committed. `committing` is written before the rename and names its destination: from then
on only the rename takes the staged bytes away, so whoever finds them gone knows that it has happened.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

from domain.ids import VFolderId, VolumeName
from domain.paths import RelativePath


class UploadState(StrEnum):
    """How far an upload is."""

    OPEN = "open"
    COMMITTING = "committing"
    COMMITTED = "committed"


@dataclass(frozen=True, slots=True)
class UploadSession:
    """One upload."""

    id: str
    volume: VolumeName
    folder: VFolderId
    #: Where the file is to be; what the token says, below what the request adds.
    destination: RelativePath
    length: int
    #: Unix time after which it may be dropped, unless it is finished.
    expires: float
    state: UploadState = UploadState.OPEN
    #: Upload-Metadata as it was given.
    metadata: str = ""
    #: Size of the file that stood at the destination when committing began.
    replaced_bytes: int | None = None

    @property
    def record(self) -> str:
        """Name of the shared record."""
        return f"upload:{self.id}"

    def document(self) -> dict[str, object]:
        """As it is stored."""
        return {
            "id": self.id,
            "volume": self.volume,
            "folder": str(self.folder),
            "destination": str(self.destination),
            "length": self.length,
            "expires": self.expires,
            "state": self.state.value,
            "metadata": self.metadata,
            "replaced_bytes": self.replaced_bytes,
        }

    @classmethod
    def parse(cls, document: Mapping[str, Any]) -> Self:
        """Read what `document` wrote."""
        return cls(
            id=document["id"],
            volume=VolumeName(document["volume"]),
            folder=VFolderId.parse(document["folder"]),
            destination=RelativePath.parse(document["destination"]),
            length=document["length"],
            expires=document["expires"],
            state=UploadState(document["state"]),
            metadata=document["metadata"],
            replaced_bytes=document["replaced_bytes"],
        )
