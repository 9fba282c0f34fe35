"""The control plane in memory; has every optional power, so that each is exercised somewhere."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal
from uuid import UUID

import anyio

from backends.contract import EnsuredScope, FenceLevel, Operation, Purge, TrashEntry
from backends.memory.bucket import Bucket
from backends.memory.files import MemoryFiles
from backends.memory.plane import Plane, Room, conflict, missing
from backends.memory.tree import Tree
from backends.powers import Work
from domain.errors import FencedError, Subject
from domain.ids import QuotaScopeId, VFolderId, VolumeName
from domain.usage import Capacity, Health, HealthStatus, Quota, Usage

#: Journal entries kept.
_JOURNAL_ENTRIES = 10_000


@dataclass(slots=True)
class _Scope:
    made_by: UUID
    limit_bytes: int | None = None
    soft_bytes: int | None = None

    @property
    def quota(self) -> Quota:
        """Its limits."""
        return Quota(limit_bytes=self.limit_bytes, soft_bytes=self.soft_bytes)


@dataclass(slots=True)
class _Folder:
    plane: Plane
    made_by: UUID
    snapshots: dict[str, Plane] = field(default_factory=dict)
    quota: Quota = field(default_factory=Quota)


class MemoryVolume:
    """Folders in memory.

    Args:
        kind: whether it behaves like a mounted file system or like an object store.
        total_bytes: how much it takes before it is full.
        part_bytes: least size of a part of an object store's multipart upload.
    """

    backend = "memory"
    fence = FenceLevel.FENCED

    def __init__(
        self,
        name: VolumeName,
        kind: Literal["tree", "objects"] = "tree",
        *,
        total_bytes: int = 1 << 40,
        part_bytes: int = 5 << 20,
    ) -> None:
        self.name = name
        self._kind = kind
        self._part_bytes = part_bytes
        self._room = Room(total_bytes)
        self._scopes: dict[QuotaScopeId, _Scope] = {}
        self._folders: dict[VFolderId, _Folder] = {}
        self._trash: dict[UUID, tuple[VFolderId, Plane | None]] = {}
        self._removed: set[UUID] = set()
        self._work: dict[UUID, tuple[Work, bytes]] = {}
        #: Work that ended, by the operation that ended it.
        self._ended: dict[UUID, Work] = {}
        self._epoch = 0
        self._journal: deque[bytes] = deque(maxlen=_JOURNAL_ENTRIES)

    async def epoch(self) -> int:
        """Epoch of the last owner."""
        await anyio.lowlevel.checkpoint()
        return self._epoch

    async def take_over(self, epoch: int) -> None:
        """Become the only owner."""
        await anyio.lowlevel.checkpoint()
        if self._epoch >= epoch:
            raise FencedError(f"the volume is at epoch {self._epoch}, not before {epoch}")
        self._epoch = epoch

    async def append_journal(self, epoch: int, entries: Sequence[bytes]) -> None:
        """Remember entries."""
        await anyio.lowlevel.checkpoint()
        del epoch
        self._journal.extend(entries)

    async def journal(self) -> Sequence[bytes]:
        """What was remembered."""
        await anyio.lowlevel.checkpoint()
        return list(self._journal)

    async def _enter(self, op: Operation) -> None:
        await anyio.lowlevel.checkpoint()
        if op.epoch != self._epoch:
            raise FencedError(f"the volume is at epoch {self._epoch}, not {op.epoch}")

    async def ensure_scope(self, op: Operation, scope: QuotaScopeId) -> EnsuredScope:
        """Make a quota scope if it is not there."""
        await self._enter(op)
        known = self._scopes.setdefault(scope, _Scope(op.id))
        return EnsuredScope(known.made_by == op.id, known.quota)

    async def create_scope(
        self, op: Operation, scope: QuotaScopeId, limit_bytes: int | None, soft_bytes: int | None = None
    ) -> None:
        """Make a quota scope."""
        await self._enter(op)
        if self._scopes.setdefault(scope, _Scope(op.id, limit_bytes, soft_bytes)).made_by != op.id:
            raise conflict("exists", scope, Subject.QUOTA_SCOPE)

    async def delete_scope(self, op: Operation, scope: QuotaScopeId) -> None:
        """Remove an empty quota scope."""
        await self._enter(op)
        if op.id in self._removed:
            return
        self._scope(scope)
        if any(folder.scope == scope for folder in self._folders):
            raise conflict("not-empty", scope, Subject.QUOTA_SCOPE)
        del self._scopes[scope]
        self._removed.add(op.id)

    async def set_quota(
        self, op: Operation, scope: QuotaScopeId, limit_bytes: int | None, soft_bytes: int | None = None
    ) -> None:
        """Set or remove the limits."""
        await self._enter(op)
        known = self._scope(scope)
        known.limit_bytes, known.soft_bytes = limit_bytes, soft_bytes

    async def quota(self, scope: QuotaScopeId) -> Quota:
        """Limits of a scope."""
        await anyio.lowlevel.checkpoint()
        return self._scope(scope).quota

    async def set_folder_quota(
        self, op: Operation, folder: VFolderId, limit_bytes: int | None, soft_bytes: int | None
    ) -> None:
        """Set or remove the limits of a folder."""
        await self._enter(op)
        self._folder(folder).quota = Quota(limit_bytes=limit_bytes, soft_bytes=soft_bytes)

    async def folder_quota(self, folder: VFolderId) -> Quota:
        """Limits of a folder."""
        await anyio.lowlevel.checkpoint()
        return self._folders[folder].quota if folder in self._folders else Quota()

    async def move_folder(self, op: Operation, source: VFolderId, destination: VFolderId) -> None:
        """Give a folder another id."""
        await self._enter(op)
        if destination.scope is not None:
            self._scope(destination.scope)
        known = self._folders.get(destination)
        if known is not None and known.made_by == op.id:
            return
        moved = self._folder(source)
        if known is not None:
            raise conflict("exists", destination, Subject.VFOLDER)
        del self._folders[source]
        moved.made_by = op.id
        self._folders[destination] = moved

    async def create_folder(self, op: Operation, folder: VFolderId, mode: int) -> None:
        """Make an empty folder."""
        await self._enter(op)
        del mode
        self._put(op, folder, self._empty_plane())

    async def delete_folder(self, op: Operation, folder: VFolderId) -> None:
        """Take a folder into the trash."""
        await self._enter(op)
        if op.id not in self._trash:
            self._trash[op.id] = (folder, self._folder(folder).plane)
            del self._folders[folder]

    async def trash(self) -> Sequence[TrashEntry]:
        """Deleted folders not yet forgotten."""
        await anyio.lowlevel.checkpoint()
        return [TrashEntry(op, folder) for op, (folder, _) in self._trash.items()]

    async def purge(self, trash: UUID) -> Purge:
        """Remove what a trash entry holds, at once."""
        await anyio.lowlevel.checkpoint()
        folder, plane = self._trash.get(trash, (None, None))
        if folder is None or plane is None:
            return Purge(0, finished=True, gone=folder is None)
        removed = plane.all_files()
        self._room.give(sum(len(stored.data) for stored in removed))
        self._trash[trash] = (folder, None)
        return Purge(len(removed), finished=True)

    async def drop_trash(self, trash: UUID) -> None:
        """Forget a purged trash entry."""
        await anyio.lowlevel.checkpoint()
        self._trash.pop(trash, None)

    async def folders(self) -> AsyncIterator[VFolderId]:
        """Every folder."""
        for folder in list(self._folders):
            await anyio.lowlevel.checkpoint()
            yield folder

    async def usage(self, folder: VFolderId, *, staging: bool = True) -> Usage:
        """Count what a folder holds; unfinished uploads never count here."""
        await anyio.lowlevel.checkpoint()
        del staging
        sizes = [len(stored.data) for stored in self._folder(folder).plane.all_files()]
        return Usage(len(sizes), len(sizes), sum(sizes), sum(sizes), sum(sizes))

    async def capacity(self) -> Capacity:
        """How much it takes, and holds."""
        await anyio.lowlevel.checkpoint()
        return Capacity(self._room.total_bytes, self._room.used_bytes)

    async def health(self) -> Health:
        """Always well."""
        await anyio.lowlevel.checkpoint()
        return Health(HealthStatus.HEALTHY)

    def files(self, folder: VFolderId) -> MemoryFiles:
        """Names and bytes of a folder."""
        return MemoryFiles(lambda: self._folder(folder).plane)

    async def clone_folder(self, op: Operation, source: VFolderId, destination: VFolderId) -> None:
        """Copy a folder to a new one."""
        await self._enter(op)
        self._put(op, destination, self._folder(source).plane.copy())

    async def create_snapshot(self, op: Operation, folder: VFolderId, name: str) -> None:
        """Keep an image."""
        await anyio.lowlevel.checkpoint()
        del op
        known = self._folder(folder)
        if name in known.snapshots:
            raise conflict("exists", name)
        known.snapshots[name] = known.plane.copy()

    async def snapshots(self, folder: VFolderId) -> Sequence[str]:
        """Names of the images kept."""
        await anyio.lowlevel.checkpoint()
        return list(self._folder(folder).snapshots)

    async def delete_snapshot(self, op: Operation, folder: VFolderId, name: str) -> None:
        """Drop an image."""
        await anyio.lowlevel.checkpoint()
        del op
        if self._folder(folder).snapshots.pop(name, None) is None:
            raise missing(name)

    async def fast_usage(self, folder: VFolderId) -> Usage:
        """What a folder holds; counting is fast here."""
        return await self.usage(folder)

    async def metrics(self) -> Mapping[str, float]:
        """Figures by name."""
        await anyio.lowlevel.checkpoint()
        return {"used_bytes": float(self._room.used_bytes)}

    async def begin_work(self, op: Operation, work: Work) -> None:
        """Put work on the list, unless it was done meanwhile."""
        await self._enter(op)
        if all(work.id != ended.id for ended in self._ended.values()):
            self._work[work.id] = (work, b"")

    async def works(self) -> Sequence[Work]:
        """What is on the list."""
        await anyio.lowlevel.checkpoint()
        return [work for work, _ in self._work.values()]

    async def checkpoint(self, work: UUID, state: bytes) -> None:
        """Keep how far it is."""
        await anyio.lowlevel.checkpoint()
        self._work[work] = (self._listed(work)[0], state)

    async def checkpointed(self, work: UUID) -> bytes:
        """How far it is."""
        await anyio.lowlevel.checkpoint()
        return self._listed(work)[1]

    async def end_work(self, op: Operation, work: UUID) -> Work | None:
        """Take work off the list."""
        await self._enter(op)
        if op.id not in self._ended and work in self._work:
            self._ended[op.id] = self._work.pop(work)[0]
        return self._ended.get(op.id)

    def _listed(self, work: UUID) -> tuple[Work, bytes]:
        if work not in self._work:
            raise missing(work, Subject.TASK)
        return self._work[work]

    def _empty_plane(self) -> Plane:
        return Tree(self._room) if self._kind == "tree" else Bucket(self._room, self._part_bytes)

    def _put(self, op: Operation, folder: VFolderId, plane: Plane) -> None:
        if folder.scope is not None:
            self._scope(folder.scope)
        if self._folders.setdefault(folder, _Folder(plane, op.id)).made_by != op.id:
            raise conflict("exists", folder, Subject.VFOLDER)

    def _scope(self, scope: QuotaScopeId) -> _Scope:
        if scope not in self._scopes:
            raise missing(scope, Subject.QUOTA_SCOPE)
        return self._scopes[scope]

    def _folder(self, folder: VFolderId) -> _Folder:
        if folder not in self._folders:
            raise missing(folder, Subject.VFOLDER)
        return self._folders[folder]
