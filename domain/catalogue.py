"""The catalogue: what exists, as a projection of events into small shared records.

Rules: records follow from events alone, so they can be rebuilt; they are written in the same atomic step that
appends the event, so they never disagree with the stream; nothing here is needed to read or write a file.

Record names: `vfolder:<folder>:info@<volume>`, `vfolder:<folder>:usage@<volume>`, `scope:<scope>:info@<volume>`.
Index members: `<folder>@<volume>` in `index:folders`, `index:volume:<volume>` and `index:owner:<scope>`;
`<scope>` in `index:scopes:<volume>`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import singledispatch
from typing import Final, Self
from uuid import UUID

from domain import events
from domain.envelope import Envelope
from domain.ids import QuotaScopeId, VFolderId, VolumeName
from domain.messages import Event
from domain.registry import open_event
from domain.tasks import ALL_TASKS, ENDED_TASKS, TaskKind, TaskState, ended_member, task_record

#: Index of every folder of every volume.
ALL_FOLDERS: Final = "index:folders"


@dataclass(frozen=True, slots=True)
class Put:
    """Set these fields of a record, keep its others, make it if it is not there."""

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


Change = Put | Bump | Remove | Index | Unindex


class FolderStatus(StrEnum):
    """What may be done with a folder now."""

    READY = "ready"


def folder_record(folder: VFolderId, volume: VolumeName) -> str:
    """Name of the record that says a folder exists."""
    return f"vfolder:{folder}:info@{volume}"


def usage_record(folder: VFolderId, volume: VolumeName) -> str:
    """Name of the record that holds a folder's counted usage."""
    return f"vfolder:{folder}:usage@{volume}"


def scope_record(scope: QuotaScopeId, volume: VolumeName) -> str:
    """Name of the record that says a quota scope exists on a volume, and its limit."""
    return f"scope:{scope}:info@{volume}"


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
    status: FolderStatus
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
            status=FolderStatus(fields["status"]),
            mode=int(mode) if mode else None,
            created=float(fields["created"]),
        )


@dataclass(frozen=True, slots=True)
class UsageRecord:
    """Counted usage of a folder, kept up to date by upload events since it was counted."""

    file_bytes: int
    files: int
    #: Unix time of the count.
    measured: float

    @classmethod
    def parse(cls, fields: Mapping[str, str]) -> Self:
        """Read the fields of a usage record."""
        return cls(int(fields["file_bytes"]), int(fields["files"]), float(fields["measured"]))


def measured_usage(folder: VFolderId, volume: VolumeName, file_bytes: int, files: int, time: float) -> Put:
    """Record a fresh count."""
    return Put(usage_record(folder, volume), {"file_bytes": file_bytes, "files": files, "measured": time})


def project(envelope: Envelope) -> tuple[Change, ...]:
    """Say which records an event changes. Pure; the same event always gives the same changes.

    Raises:
        UnsupportedError: the event's type or version is not known here.
        MalformedEventError: its body does not fit.
    """
    return _project(envelope.event or open_event(envelope), envelope.time)


@singledispatch
def _project(event: Event, time: float) -> tuple[Change, ...]:
    return ()


@_project.register
def _(event: events.QuotaScopeCreated, time: float) -> tuple[Change, ...]:
    fields = {"created": time, "limit_bytes": _limit(event.limit_bytes)}
    return (
        Put(scope_record(event.scope, event.volume), fields),
        Index(scopes_index(event.volume), str(event.scope)),
    )


@_project.register
def _(event: events.QuotaScopeDeleted, time: float) -> tuple[Change, ...]:
    return (
        Remove(scope_record(event.scope, event.volume)),
        Unindex(scopes_index(event.volume), str(event.scope)),
    )


@_project.register
def _(event: events.QuotaUpdated, time: float) -> tuple[Change, ...]:
    return (Put(scope_record(event.scope, event.volume), {"limit_bytes": _limit(event.limit_bytes)}),)


@_project.register
def _(event: events.VFolderCreated, time: float) -> tuple[Change, ...]:
    return (
        *_appear(event.folder, event.volume, time, {"mode": event.mode}),
        measured_usage(event.folder, event.volume, 0, 0, time),
    )


@_project.register
def _(event: events.VFolderDeleted, time: float) -> tuple[Change, ...]:
    member = folder_member(event.folder, event.volume)
    return (
        Remove(folder_record(event.folder, event.volume)),
        Remove(usage_record(event.folder, event.volume)),
        *(Unindex(index, member) for index in _indexes(event.folder, event.volume)),
        *_begin(event.trash, TaskKind.DELETE_FOLDER, event.volume, event.folder, time),
    )


@_project.register
def _(event: events.VFolderRestored, time: float) -> tuple[Change, ...]:
    # What it holds is counted anew by whoever asks next.
    ended = _end(event.trash, TaskState.CANCELLED, time, {"message": "restored"})
    return (*_appear(event.folder, event.volume, time, {}), *ended)


@_project.register
def _(event: events.VFolderPurged, time: float) -> tuple[Change, ...]:
    return _end(event.trash, TaskState.DONE, time, {"items": event.entries})


@_project.register
def _(event: events.FilesPurged, time: float) -> tuple[Change, ...]:
    return _end(event.trash, TaskState.DONE, time, {"items": event.entries})


@_project.register
def _(event: events.CloneAccepted, time: float) -> tuple[Change, ...]:
    source = {"source": str(event.source), "source_volume": event.source_volume or event.volume}
    return _begin(event.task, TaskKind.CLONE, event.volume, event.destination, time, source)


@_project.register
def _(event: events.CloneCompleted, time: float) -> tuple[Change, ...]:
    appeared = _appear(event.destination, event.volume, time, {})
    if event.task is None:
        return appeared
    copied = {"items": event.entries or 0, "size_bytes": event.size_bytes or 0}
    return (*appeared, *_end(event.task, TaskState.DONE, time, copied))


@_project.register
def _(event: events.CloneAbandoned, time: float) -> tuple[Change, ...]:
    state = TaskState.CANCELLED if event.code is None else TaskState.FAILED
    return _end(event.task, state, time, {"message": event.detail})


@_project.register
def _(event: events.TaskProgressed, time: float) -> tuple[Change, ...]:
    fields = event.model_dump(include={"items", "items_total", "size_bytes", "size_bytes_total"})
    return (Put(task_record(event.task), {**fields, "changed": time}),)


@_project.register
def _(event: events.TaskCancelRequested, time: float) -> tuple[Change, ...]:
    return (Put(task_record(event.task), {"cancelling": 1, "changed": time}),)


@_project.register
def _(event: events.FileUploaded, time: float) -> tuple[Change, ...]:
    deltas = {
        "file_bytes": event.size_bytes - (event.replaced_bytes or 0),
        "files": 1 if event.replaced_bytes is None else 0,
    }
    return (Bump(usage_record(event.folder, event.volume), deltas),)


@_project.register
def _(event: events.FileDeleted, time: float) -> tuple[Change, ...]:
    # What a tree held is not known without counting it; the next reader counts afresh.
    counted = Remove(usage_record(event.folder, event.volume))
    if event.trash is None:
        return (counted,)
    return (counted, *_begin(event.trash, TaskKind.DELETE_FILES, event.volume, event.folder, time))


@_project.register
def _(event: events.ArchiveUnpacked, time: float) -> tuple[Change, ...]:
    return (Remove(usage_record(event.folder, event.volume)),)


@_project.register
def _(event: events.FileMoved, time: float) -> tuple[Change, ...]:
    return (Remove(usage_record(event.folder, event.volume)),) if event.replaced else ()


def _begin(
    task: UUID,
    kind: TaskKind,
    volume: VolumeName,
    folder: VFolderId,
    time: float,
    more: Mapping[str, str | int | float] | None = None,
) -> tuple[Change, ...]:
    fields = {
        "kind": kind.value,
        "volume": volume,
        "folder": str(folder),
        "state": TaskState.RUNNING.value,
        "began": time,
        "changed": time,
        **(more or {}),
    }
    return (Put(task_record(task), fields), Index(ALL_TASKS, str(task)))


def _end(task: UUID, state: TaskState, time: float, more: Mapping[str, str | int | float]) -> tuple[Change, ...]:
    fields = {"state": state.value, "changed": time, **more}
    return (Put(task_record(task), fields), Index(ENDED_TASKS, ended_member(task, time)))


def _limit(limit_bytes: int | None) -> str | int:
    return "" if limit_bytes is None else limit_bytes


def _indexes(folder: VFolderId, volume: VolumeName) -> tuple[str, ...]:
    owner = (owner_index(folder.scope),) if folder.scope else ()
    return (ALL_FOLDERS, volume_index(volume), *owner)


def _appear(
    folder: VFolderId, volume: VolumeName, time: float, more: Mapping[str, str | int | float]
) -> tuple[Change, ...]:
    member = folder_member(folder, volume)
    fields = {"status": FolderStatus.READY.value, "created": time, **more}
    return (
        Put(folder_record(folder, volume), fields),
        *(Index(index, member) for index in _indexes(folder, volume)),
    )
