"""The catalogue: what exists, as a projection of events into small shared records; see `projection.py`.

Rules: records follow from events alone, so they can be rebuilt; they are written in the same atomic step that
appends the event, so they never disagree with the stream; nothing here is needed to read or write a file.

Record names: `vfolder:<folder>:info@<volume>`, and `:usage@` and `:status@` like it; `scope:<scope>:info@<volume>`.
Index members: `<folder>@<volume>` in `index:folders`, `index:volume:<volume>` and `index:owner:<scope>`;
`<scope>` in `index:scopes:<volume>`; `<folder>` in `index:quotas:<volume>`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from dataclasses import fields as dataclass_fields
from enum import Enum, StrEnum, auto
from typing import Final, Self

from domain.ids import QuotaScopeId, VFolderId, VolumeName
from domain.usage import Usage

#: Index of every folder of every volume.
ALL_FOLDERS: Final = "index:folders"


@dataclass(frozen=True, slots=True)
class UsageMarks:
    """How a folder has changed as far as events tell, ever since its usage record was made."""

    #: Bytes and files that uploads have added.
    added_bytes: int = 0
    added_files: int = 0
    #: How often it was changed in any other way.
    changes: int = 0
    #: Of which record all this is told: that of a folder that was deleted and restored is another one.
    made: str = ""

    @classmethod
    def parse(cls, fields: Mapping[str, str]) -> Self:
        """Read the fields of a usage record."""
        added_bytes, added_files, changes = (
            int(fields.get(name, 0)) for name in ("added_bytes", "added_files", "changes")
        )
        return cls(added_bytes, added_files, changes, fields.get("made", ""))


@dataclass(frozen=True, slots=True)
class Put:
    """Set these fields of a record, keep its others, make it if it is not there."""

    record: str
    fields: Mapping[str, str | int | float]


@dataclass(frozen=True, slots=True)
class Default:
    """Set those of these fields that a record does not have, make it if it is not there."""

    record: str
    fields: Mapping[str, str | int | float]


@dataclass(frozen=True, slots=True)
class Bump:
    """Add to whole-number fields of a record; nothing happens if it is not there."""

    record: str
    deltas: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Remove:
    """Drop a record, if it is there."""

    record: str


@dataclass(frozen=True, slots=True)
class Index:
    """Add a member to an index."""

    index: str
    member: str


@dataclass(frozen=True, slots=True)
class Unindex:
    """Take a member out of an index."""

    index: str
    member: str


@dataclass(frozen=True, slots=True)
class Recount:
    """Set what was counted of a folder, and add what uploads have added since that began.

    Whether the count has met those is not known; if there are any, it is to be repeated at `again`. Nothing happens
    if the record is gone, or another one, or if the folder has changed in any other way meanwhile.
    """

    record: str
    #: With `file_bytes` and `files`.
    fields: Mapping[str, str | int | float]
    since: UsageMarks
    #: Unix time.
    again: float


Change = Put | Default | Bump | Remove | Index | Unindex | Recount


class FolderStatus(StrEnum):
    """What may be done with a folder now."""

    READY = "ready"
    #: It is on its way to another volume, and for this moment nobody can use it.
    PERFORMING = "performing"
    #: It will be there when all of it is copied.
    CLONING = "cloning"
    #: It was deleted, and can be had back.
    TRASHED = "trashed"
    #: It was deleted, and is being purged.
    DELETING = "deleting"
    #: It should be there and is not.
    ERROR = "error"


def folder_record(folder: VFolderId, volume: VolumeName) -> str:
    """Name of the record that says a folder exists."""
    return f"vfolder:{folder}:info@{volume}"


def status_record(folder: VFolderId, volume: VolumeName) -> str:
    """Name of the record that says why a folder is not at its place; there is none for one that is."""
    return f"vfolder:{folder}:status@{volume}"


def usage_record(folder: VFolderId, volume: VolumeName) -> str:
    """Name of the record that holds a folder's counted usage."""
    return f"vfolder:{folder}:usage@{volume}"


def scope_record(scope: QuotaScopeId, volume: VolumeName) -> str:
    """Name of the record that says a quota scope exists on a volume, and its limit."""
    return f"scope:{scope}:info@{volume}"


def folder_quota_record(folder: VFolderId, volume: VolumeName) -> str:
    """Name of the record that holds the limits of a folder that has some."""
    return f"vfolder:{folder}:quota@{volume}"


def folder_quotas_index(volume: VolumeName) -> str:
    """Index of the folders of one volume that have limits of their own."""
    return f"index:quotas:{volume}"


def volume_index(volume: VolumeName) -> str:
    """Index of the folders of one volume."""
    return f"index:volume:{volume}"


def owner_index(scope: QuotaScopeId) -> str:
    """Index of the folders of one owner, on all volumes."""
    return f"index:owner:{scope}"


def scopes_index(volume: VolumeName) -> str:
    """Index of the quota scopes of one volume."""
    return f"index:scopes:{volume}"


def folder_member(folder: VFolderId, volume: VolumeName) -> str:
    """How a folder stands in an index."""
    return f"{folder}@{volume}"


def parse_folder_member(member: str) -> tuple[VFolderId, VolumeName]:
    """Read an index member; the inverse of `folder_member`."""
    folder, _, volume = member.rpartition("@")
    return VFolderId.parse(folder), VolumeName(volume)


@dataclass(frozen=True, slots=True)
class FolderRecord:
    """One folder of the catalogue."""

    folder: VFolderId
    volume: VolumeName
    mode: int | None
    #: Unix time of the event that made it.
    created: float

    @classmethod
    def parse(cls, member: str, fields: Mapping[str, str]) -> Self:
        """Read the fields of a folder record."""
        folder, volume = parse_folder_member(member)
        mode = fields.get("mode")
        return cls(
            folder=folder,
            volume=volume,
            mode=int(mode) if mode else None,
            created=float(fields["created"]),
        )


@dataclass(frozen=True, slots=True)
class StatusRecord:
    """Why a folder is not at its place."""

    status: FolderStatus
    #: In words.
    reason: str
    #: Task it has to do with; empty: none.
    task: str = ""

    @classmethod
    def parse(cls, fields: Mapping[str, str]) -> Self | None:
        """Read the fields of a status record; None where only a part of it was told, or by a later release."""
        if "reason" not in fields or fields["status"] not in list(FolderStatus):
            return None
        return cls(FolderStatus(fields["status"]), fields["reason"], fields.get("task", ""))


class Need(Enum):
    """What somebody wants to know of a folder's usage."""

    #: That it is not more; what was removed since it was counted may be in it.
    BOUND = auto()
    #: What it is.
    CURRENT = auto()
    #: What it is, and would be if it was counted now: somebody is to be refused something.
    CERTAIN = auto()


@dataclass(frozen=True, slots=True)
class UsageRecord:
    """Counted usage of a folder, kept up to date by events since it was counted."""

    #: Never less than what there is, as far as events tell.
    file_bytes: int
    files: int
    #: Unix time of the count.
    measured: float
    #: How long it took, in seconds.
    took: float = 0.0
    #: Unix time at which it is to be counted again, because it may be less than that; None: it is that.
    again: float | None = None

    @classmethod
    def parse(cls, fields: Mapping[str, str]) -> Self | None:
        """Read the fields of a usage record; None: it was never counted."""
        if "measured" not in fields:
            return None
        again = "0" if int(fields.get("stale", 0)) else fields.get("again")
        return cls(
            int(fields["file_bytes"]),
            int(fields["files"]),
            float(fields["measured"]),
            float(fields.get("took", 0)),
            float(again) if again else None,
        )

    def serves(self, need: Need, now: float, max_age_seconds: float) -> bool:
        """Whether it tells what somebody wants to know."""
        is_due = self.again is not None and self.again <= now
        return now - self.measured <= max_age_seconds and (need is Need.BOUND or not is_due)


def measured_usage(usage: Usage, time: float) -> Mapping[str, str | int | float]:
    """Fields of a usage record after a count."""
    return {**asdict(usage), "measured": time, "stale": 0}


def counted_usage(fields: Mapping[str, str]) -> Usage | None:
    """All that was counted of a folder, by the fields of its usage record; None: nobody has counted it yet."""
    if "entries" not in fields:
        return None
    return Usage(**{known.name: int(fields[known.name]) for known in dataclass_fields(Usage)})
