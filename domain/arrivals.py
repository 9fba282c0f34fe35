"""What is on its way to a quota scope, and counts against its limit before the folder it becomes is there.

`index:arrivals:<volume>:<scope>` has `<id>` of tasks that copy a folder to this scope, whose records tell how much
that is; and `<folder>` of those that come there at once, by `vfolder:<folder>:arrival@<volume>`.
"""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from domain.catalogue import Change, Index, Put, Remove, Unindex
from domain.ids import QuotaScopeId, VFolderId, VolumeName
from domain.tasks import TaskRecord, task_record

_BYTES = "size_bytes"


def arrivals_index(scope: QuotaScopeId, volume: VolumeName) -> str:
    """Name of the index of what is on its way to a scope."""
    return f"index:arrivals:{volume}:{scope}"


def arrival_record(folder: VFolderId, volume: VolumeName) -> str:
    """Name of the record of a folder that comes at once."""
    return f"vfolder:{folder}:arrival@{volume}"


def arriving(folder: VFolderId, volume: VolumeName, size_bytes: int) -> tuple[Change, ...]:
    """Have a folder count that comes at once."""
    record = Put(arrival_record(folder, volume), {_BYTES: size_bytes})
    return (record, *(Index(index, str(folder)) for index in _indexes(folder, volume)))


def arrived(folder: VFolderId, volume: VolumeName) -> tuple[Change, ...]:
    """Have it count no more: it is there, or does not come."""
    record = Remove(arrival_record(folder, volume))
    return (record, *(Unindex(index, str(folder)) for index in _indexes(folder, volume)))


def copying(task: UUID, folder: VFolderId, volume: VolumeName) -> tuple[Index, ...]:
    """Have a task count that makes a folder."""
    return tuple(Index(index, str(task)) for index in _indexes(folder, volume))


def copied(task: UUID, folder: VFolderId, volume: VolumeName) -> tuple[Unindex, ...]:
    """Have it count no more: what it has made counts with the folder, or is gone."""
    return tuple(Unindex(index, str(task)) for index in _indexes(folder, volume))


def member_record(member: str, volume: VolumeName) -> str:
    """Name of the record that tells how much comes by a member of an index."""
    folder = _folder_of(member)
    return task_record(UUID(member)) if folder is None else arrival_record(folder, volume)


def member_bytes(member: str, fields: Mapping[str, str]) -> int:
    """How much that is, by the fields of its record."""
    if _folder_of(member) is not None:
        return int(fields[_BYTES])
    return TaskRecord.parse(UUID(member), fields).wanted_bytes if "kind" in fields else 0


def _folder_of(member: str) -> VFolderId | None:
    return VFolderId.parse(member) if "/" in member else None


def _indexes(folder: VFolderId, volume: VolumeName) -> tuple[str, ...]:
    return (arrivals_index(folder.scope, volume),) if folder.scope else ()
