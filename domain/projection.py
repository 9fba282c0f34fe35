"""Which records of the catalogue an event changes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from functools import singledispatch
from uuid import UUID

from domain import events, task_events
from domain.arrivals import arrived, copied, copying
from domain.catalogue import (
    ALL_FOLDERS,
    Bump,
    Change,
    FolderStatus,
    Index,
    Put,
    Recount,
    Remove,
    Unindex,
    UsageMarks,
    folder_member,
    folder_quota_record,
    folder_quotas_index,
    folder_record,
    measured_usage,
    owner_index,
    scope_record,
    scopes_index,
    status_record,
    usage_record,
    volume_index,
)
from domain.envelope import Envelope
from domain.ids import VFolderId, VolumeName
from domain.messages import Event
from domain.registry import open_event
from domain.tasks import ALL_TASKS, ENDED_TASKS, TaskKind, TaskState, ended_member, task_record
from domain.usage import Usage


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
    fields = {"created": time, **_limits(event)}
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
    return (Put(scope_record(event.scope, event.volume), _limits(event)),)


@_project.register
def _(event: events.VFolderQuotaUpdated, time: float) -> tuple[Change, ...]:
    record, index = folder_quota_record(event.folder, event.volume), folder_quotas_index(event.volume)
    if event.limit_bytes is None and event.soft_bytes is None:
        return (Remove(record), Unindex(index, str(event.folder)))
    return (Put(record, _limits(event)), Index(index, str(event.folder)))


@_project.register
def _(event: events.QuotaAlert, time: float) -> tuple[Change, ...]:
    told = {"alert": event.percent, "soft_since": event.soft_since or "", "soft_enforced": int(event.enforced)}
    if event.scope is not None:
        return (Put(scope_record(event.scope, event.volume), told),)
    return (Put(folder_quota_record(event.folder, event.volume), told),) if event.folder is not None else ()


@_project.register
def _(event: events.VFolderCreated, time: float) -> tuple[Change, ...]:
    return (
        *_appear(event.folder, event.volume, time, {"mode": event.mode}),
        # Uploads change these two; the rest is known when somebody has counted.
        Put(usage_record(event.folder, event.volume), {"file_bytes": 0, "files": 0, "measured": time}),
    )


@_project.register
def _(event: events.VFolderDeleted, time: float) -> tuple[Change, ...]:
    return (
        *_vanish(event.folder, event.volume),
        _status(event.folder, event.volume, FolderStatus.TRASHED, "it was deleted", event.trash),
        *_begin(event.trash, TaskKind.DELETE_FOLDER, event.volume, event.folder, time),
    )


@_project.register
def _(event: events.VFolderRestored, time: float) -> tuple[Change, ...]:
    # What it holds is counted anew by whoever asks next.
    appeared = _appear(event.folder, event.volume, time, {})
    if event.task is not None:
        return appeared
    there = (*appeared, *arrived(event.folder, event.volume))
    return (*there, *_end(event.trash, TaskState.CANCELLED, time, {"message": "restored"}))


@_project.register
def _(event: events.VFolderPurgeRequested, time: float) -> tuple[Change, ...]:
    return (Put(status_record(event.folder, event.volume), {"status": FolderStatus.DELETING.value}),)


@_project.register
def _(event: events.VFolderPurged, time: float) -> tuple[Change, ...]:
    gone = (Remove(status_record(event.folder, event.volume)), *_unlimited(event.folder, event.volume))
    return (*gone, *_end(event.trash, TaskState.DONE, time, {"items": event.entries}))


@_project.register
def _(event: events.FilesPurged, time: float) -> tuple[Change, ...]:
    return _end(event.trash, TaskState.DONE, time, {"items": event.entries})


@_project.register
def _(event: events.CloneAccepted, time: float) -> tuple[Change, ...]:
    return _begin_copy(event, TaskKind.CLONE, f"it is being copied from {event.source}", time)


@_project.register
def _(event: events.CloneCompleted, time: float) -> tuple[Change, ...]:
    appeared = _appear(event.destination, event.volume, time, {})
    if event.task is None:
        return appeared
    return (*appeared, *_end_copy(event, event.task, time))


@_project.register
def _(event: events.CloneAbandoned, time: float) -> tuple[Change, ...]:
    return _abandon_copy(event, time)


@_project.register
def _(event: events.MigrationAccepted, time: float) -> tuple[Change, ...]:
    return _begin_copy(event, TaskKind.MIGRATE, f"it is on its way from {event.source}", time)


@_project.register
def _(event: events.VFolderWithdrawn, time: float) -> tuple[Change, ...]:
    reason = f"it is on its way to {event.destination} on volume {event.destination_volume}"
    return (_status(event.folder, event.volume, FolderStatus.PERFORMING, reason, event.task),)


@_project.register
def _(event: events.VFolderMigrated, time: float) -> tuple[Change, ...]:
    source_volume = event.source_volume or event.volume
    moved = (
        *_vanish(event.source, source_volume),
        *_unlimited(event.source, source_volume),
        *_appear(event.destination, event.volume, time, {}),
    )
    if event.task is None:
        return (*moved, *arrived(event.destination, event.volume))
    left = f"it went to {event.destination} on volume {event.volume}"
    return (
        *moved,
        _status(event.source, source_volume, FolderStatus.DELETING, left, event.task),
        *_end_copy(event, event.task, time),
    )


@_project.register
def _(event: events.MigrationAbandoned, time: float) -> tuple[Change, ...]:
    return _abandon_copy(event, time)


@_project.register(events.VFolderRestoreFailed)
@_project.register(events.VFolderMigrateFailed)
def _(event: events.VFolderRestoreFailed | events.VFolderMigrateFailed, time: float) -> tuple[Change, ...]:
    return () if event.folder is None else arrived(event.folder, event.volume)


@_project.register
def _(event: events.VFolderMissing, time: float) -> tuple[Change, ...]:
    return (_status(event.folder, event.volume, FolderStatus.ERROR, "it is not on its volume"),)


@_project.register
def _(event: task_events.TaskProgressed, time: float) -> tuple[Change, ...]:
    fields = event.model_dump(include={"items", "items_total", "size_bytes", "size_bytes_total"})
    return (Put(task_record(event.task), {**fields, "changed": time}),)


@_project.register
def _(event: task_events.TaskCancelRequested, time: float) -> tuple[Change, ...]:
    return (Put(task_record(event.task), {"cancelling": 1, "changed": time}),)


@_project.register
def _(event: task_events.TaskAccepted, time: float) -> tuple[Change, ...]:
    return _begin(event.task, event.kind, event.volume, event.folder, time)


@_project.register
def _(event: task_events.TaskCompleted, time: float) -> tuple[Change, ...]:
    done = {"items": event.items, "size_bytes": event.size_bytes}
    return _end(event.task, TaskState.DONE, time, {**done, "result": json.dumps(event.result)})


@_project.register
def _(event: task_events.TaskAbandoned, time: float) -> tuple[Change, ...]:
    return _give_up(event, time)


@_project.register
def _(event: events.UsageMeasured, time: float) -> tuple[Change, ...]:
    usage = Usage(**event.model_dump(include={known.name for known in fields(Usage)}))
    record, counted = usage_record(event.folder, event.volume), measured_usage(usage, time)
    if event.changes is None:
        return (Put(record, counted),)
    since = UsageMarks(event.added_bytes, event.added_files, event.changes, event.made)
    return (Recount(record, counted, since, again=time),)


@_project.register
def _(event: events.FileUploaded, time: float) -> tuple[Change, ...]:
    if event.recovered:
        return (_unsure(event, file_bytes=event.size_bytes, files=1),)
    more = event.size_bytes - (event.replaced_bytes or 0)
    new = 1 if event.replaced_bytes is None else 0
    besides = {"changes": 1} if more < 0 else {"added_bytes": more, "added_files": new}
    return (Bump(usage_record(event.folder, event.volume), {"file_bytes": more, "files": new, **besides}),)


@_project.register
def _(event: events.FileDeleted, time: float) -> tuple[Change, ...]:
    # What a tree held is not known without counting it.
    less = _unsure(event)
    if event.trash is None:
        return (less,)
    return (less, *_begin(event.trash, TaskKind.DELETE_FILES, event.volume, event.folder, time))


@_project.register
def _(event: events.ArchiveUnpacked, time: float) -> tuple[Change, ...]:
    # What its files replaced is not known; without that it is not more than this.
    return (_unsure(event, file_bytes=event.size_bytes, files=event.files),)


@_project.register
def _(event: events.FileMoved, time: float) -> tuple[Change, ...]:
    if event.replaced:
        return (_unsure(event),)
    # Whoever counts at this moment may have met all of it twice, or not at all.
    return (Bump(usage_record(event.folder, event.volume), {"changes": 1}),)


def _unsure(
    event: events.FileUploaded | events.FileDeleted | events.ArchiveUnpacked | events.FileMoved,
    *,
    file_bytes: int = 0,
    files: int = 0,
) -> Bump:
    """A folder holds so much more at most; who wants to know what it holds counts it anew."""
    deltas = {"file_bytes": file_bytes, "files": files, "changes": 1, "stale": 1}
    return Bump(usage_record(event.folder, event.volume), deltas)


def _begin(
    task: UUID,
    kind: TaskKind,
    volume: VolumeName,
    folder: VFolderId | None,
    time: float,
    more: Mapping[str, str | int | float] | None = None,
) -> tuple[Change, ...]:
    fields = {
        "kind": kind.value,
        "volume": volume,
        "folder": str(folder or ""),
        "state": TaskState.RUNNING.value,
        "began": time,
        "changed": time,
        **(more or {}),
    }
    return (Put(task_record(task), fields), Index(ALL_TASKS, str(task)))


def _end(task: UUID, state: TaskState, time: float, more: Mapping[str, str | int | float]) -> tuple[Change, ...]:
    fields = {"state": state.value, "changed": time, **more}
    return (Put(task_record(task), fields), Index(ENDED_TASKS, ended_member(task, time)))


def _give_up(
    event: events.CloneAbandoned | events.MigrationAbandoned | task_events.TaskAbandoned, time: float
) -> tuple[Change, ...]:
    if event.code is None:
        return _end(event.task, TaskState.CANCELLED, time, {"message": event.detail})
    return _end(event.task, TaskState.FAILED, time, {"message": event.detail, "code": event.code})


def _begin_copy(
    event: events.CloneAccepted | events.MigrationAccepted, kind: TaskKind, reason: str, time: float
) -> tuple[Change, ...]:
    source = {"source": str(event.source), "source_volume": event.source_volume or event.volume}
    return (
        _status(event.destination, event.volume, FolderStatus.CLONING, reason, event.task),
        *_begin(event.task, kind, event.volume, event.destination, time, source),
        *copying(event.task, event.destination, event.volume),
    )


def _end_copy(event: events.CloneCompleted | events.VFolderMigrated, task: UUID, time: float) -> tuple[Change, ...]:
    done = _end(task, TaskState.DONE, time, {"items": event.entries or 0, "size_bytes": event.size_bytes or 0})
    return (*done, *copied(task, event.destination, event.volume))


def _abandon_copy(event: events.CloneAbandoned | events.MigrationAbandoned, time: float) -> tuple[Change, ...]:
    status = Remove(status_record(event.destination, event.volume))
    return (status, *_give_up(event, time), *copied(event.task, event.destination, event.volume))


def _status(
    folder: VFolderId, volume: VolumeName, status: FolderStatus, reason: str, task: UUID | None = None
) -> Put:
    return Put(status_record(folder, volume), {"status": status.value, "reason": reason, "task": str(task or "")})


def _limits(
    event: events.QuotaScopeCreated | events.QuotaUpdated | events.VFolderQuotaUpdated,
) -> Mapping[str, str | int | float]:
    limits = {"limit_bytes": event.limit_bytes, "soft_bytes": event.soft_bytes}
    return {name: "" if limit is None else limit for name, limit in limits.items()}


def _indexes(folder: VFolderId, volume: VolumeName) -> tuple[str, ...]:
    owner = (owner_index(folder.scope),) if folder.scope else ()
    return (ALL_FOLDERS, volume_index(volume), *owner)


def _appear(
    folder: VFolderId, volume: VolumeName, time: float, more: Mapping[str, str | int | float]
) -> tuple[Change, ...]:
    member = folder_member(folder, volume)
    fields = {"created": time, **more}
    return (
        Put(folder_record(folder, volume), fields),
        *(Index(index, member) for index in _indexes(folder, volume)),
        Remove(status_record(folder, volume)),
    )


def _vanish(folder: VFolderId, volume: VolumeName) -> tuple[Change, ...]:
    member = folder_member(folder, volume)
    return (
        Remove(folder_record(folder, volume)),
        Remove(usage_record(folder, volume)),
        *(Unindex(index, member) for index in _indexes(folder, volume)),
    )


def _unlimited(folder: VFolderId, volume: VolumeName) -> tuple[Change, ...]:
    return (Remove(folder_quota_record(folder, volume)), Unindex(folder_quotas_index(volume), str(folder)))
