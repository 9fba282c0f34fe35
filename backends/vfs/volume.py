"""A volume on a plain directory."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Final
from uuid import UUID

from backends.contract import EnsuredScope, EntryKind, FenceLevel, Operation, Purge, TrashEntry
from backends.mounted.area import USAGE, Area
from backends.mounted.beneath import Beneath
from backends.mounted.builds import Attempt, Builds
from backends.mounted.counting import Counting
from backends.mounted.errors import translated
from backends.mounted.files import MountedFiles
from backends.mounted.folders import Folders
from backends.mounted.journal import Journal
from backends.mounted.leftovers import Leftovers
from backends.mounted.mountinfo import mounted_as
from backends.mounted.outbox import MountedOutbox
from backends.mounted.removal import Removal
from backends.mounted.scopes import Scopes
from backends.mounted.trash import Trash
from backends.mounted.tree_copy import MountedTree, MountedTreeCopy, shares_bytes
from backends.mounted.usage import Count
from backends.mounted.usage_memory import DirectoryMemory
from backends.mounted.work import WorkList
from backends.powers import BuildPlan, FolderTree, Leftover, Mount, TreeCopy, Work
from backends.threads import VolumeThreads
from domain.errors import NotFoundError, PenstockError, StorageFullError, Subject, UnsupportedError
from domain.ids import QuotaScopeId, VFolderId, VolumeName
from domain.paths import ROOT, RelativePath
from domain.usage import Capacity, Health, HealthStatus, Quota, Usage

#: Folders found in one go.
_FOUND_STEP: Final = 5000


class VfsVolume:
    """Folders on a mounted file system; quotas by accounting."""

    backend = "vfs"
    fence = FenceLevel.FENCED

    def __init__(self, name: VolumeName, path: Path, mount: Beneath, threads: VolumeThreads) -> None:
        self.name = name
        self._path = path
        self._mount = mount
        self._threads = threads
        self.mount_path = str(path)
        self._area = Area(mount)
        self._scopes = Scopes(self._area)
        self._journal = Journal(self._area)
        self._folders = Folders(self._area, self._scopes)
        self._trash = Trash(self._area, self._scopes, self._folders)
        self._builds = Builds(self._area, self._folders)
        self._work = WorkList(self._area)
        self._leftovers = Leftovers(self._area)
        #: Only where one sync is for everything before it: elsewhere it would save none.
        self.outbox = MountedOutbox(self._area, threads) if mount.mounted.keeps_order else None

    async def prepare(self) -> None:
        """Make Penstock's area. Repeat-safe."""
        await self._threads.run(self._area.prepare)
        if self.outbox is not None:
            await self.outbox.open()

    def close(self) -> None:
        """Give back what is open; no call may be running."""
        if self.outbox is not None:
            self.outbox.close()

    async def epoch(self) -> int:
        """Epoch of the last owner, kept on the volume."""
        return await self._threads.run(self._epoch)

    def _epoch(self) -> int:
        with translated(self.name, Subject.VOLUME):
            return self._area.fence.epoch()

    async def take_over(self, epoch: int) -> None:
        """Become the only owner."""
        await self._threads.run(self._take_over, epoch)

    def _take_over(self, epoch: int) -> None:
        with translated(self.name, Subject.VOLUME):
            self._area.fence.take_over(epoch)

    async def append_journal(self, epoch: int, entries: Sequence[bytes]) -> None:
        """Write entries down durably."""
        await self._threads.run(self._journal.append, epoch, entries)

    async def journal(self) -> Sequence[bytes]:
        """What owners wrote down, oldest first."""
        return await self._threads.run(self._journal.read)

    async def ensure_scope(self, op: Operation, scope: QuotaScopeId) -> EnsuredScope:
        """Make a quota scope if it is not there; what it uses is counted elsewhere."""
        return await self._threads.run(self._scopes.ensure, op, scope)

    async def create_scope(
        self, op: Operation, scope: QuotaScopeId, limit_bytes: int | None, soft_bytes: int | None = None
    ) -> None:
        """Make a quota scope."""
        await self._threads.run(self._scopes.create, op, scope, limit_bytes, soft_bytes)

    async def delete_scope(self, op: Operation, scope: QuotaScopeId) -> None:
        """Remove an empty quota scope."""
        await self._threads.run(self._scopes.delete, op, scope)

    async def set_quota(
        self, op: Operation, scope: QuotaScopeId, limit_bytes: int | None, soft_bytes: int | None = None
    ) -> None:
        """Set or remove the limits of a scope; being absolute, they need no trace of the operation."""
        await self._threads.run(self._scopes.set_limits, op, scope, limit_bytes, soft_bytes)

    async def quota(self, scope: QuotaScopeId) -> Quota:
        """Limits of a scope; what it uses is counted elsewhere."""
        return await self._threads.run(self._scopes.limits, scope)

    async def set_folder_quota(
        self, op: Operation, folder: VFolderId, limit_bytes: int | None, soft_bytes: int | None
    ) -> None:
        """Set or remove the limits of a folder."""
        await self._threads.run(self._folders.set_limits, op, folder, limit_bytes, soft_bytes)

    async def folder_quota(self, folder: VFolderId) -> Quota:
        """Limits of a folder; what it uses is counted elsewhere."""
        return await self._threads.run(self._folders.limits, folder)

    async def create_folder(self, op: Operation, folder: VFolderId, mode: int) -> None:
        """Make an empty folder."""
        await self._threads.run(self._folders.create, op, folder, mode)

    async def delete_folder(self, op: Operation, folder: VFolderId) -> None:
        """Take a folder into the trash."""
        await self._threads.run(self._trash.delete, op, folder)

    async def trash_files(
        self, op: Operation, folder: VFolderId, paths: Sequence[RelativePath], *, recursive: bool
    ) -> Sequence[RelativePath]:
        """Take entries of a folder into the trash."""
        return await self._threads.run(Removal(self._area, op, folder).run, paths, recursive=recursive)

    async def restore_folder(
        self, op: Operation, trash: UUID, folder: VFolderId, *, task: UUID | None = None
    ) -> None:
        """Put a deleted folder back to its place."""
        await self._threads.run(self._trash.restore, op, trash, folder, task)

    async def trash_usage(self, trash: UUID) -> Usage:
        """Count what a deleted folder would hold again."""
        return await self._counted(Count(staging=False), partial(self._trash.open_entry, trash))

    async def doom_trash(self, op: Operation, trash: UUID, folder: VFolderId, *, task: UUID | None = None) -> None:
        """Have a deleted folder purged at once."""
        await self._threads.run(self._trash.doom, op, trash, folder, task)

    async def move_folder(self, op: Operation, source: VFolderId, destination: VFolderId) -> None:
        """Give a folder another id."""
        await self._threads.run(self._trash.move, op, source, destination)

    async def withdraw_folder(self, op: Operation, folder: VFolderId, task: UUID) -> None:
        """Take a folder from its place, held for a task."""
        await self._threads.run(self._trash.delete, op, folder, held=task)

    async def withdrawn_tree(self, trash: UUID) -> FolderTree:
        """All that a folder in the trash holds."""
        return MountedTree(await self._threads.run(self._trash.open_entry, trash))

    async def tree(self, folder: VFolderId) -> FolderTree:
        """All a folder holds."""
        return MountedTree(await self._threads.run(self._below, folder))

    def _below(self, folder: VFolderId) -> Beneath:
        with translated(folder, Subject.VFOLDER):
            return self._mount.below(folder.directory)

    async def begin_build(self, op: Operation, plan: BuildPlan) -> None:
        """Write down what is to be made."""
        await self._threads.run(self._builds.begin, op, plan)

    async def builds(self) -> Sequence[BuildPlan]:
        """What was begun, and neither finished nor dropped."""
        return await self._threads.run(self._builds.all)

    async def copy_into(self, build: UUID, attempt: str, source: FolderTree) -> TreeCopy:
        """Begin or go on with copying."""
        if not isinstance(source, MountedTree):
            raise UnsupportedError(f"{self.backend} cannot copy from there", subject=Subject.VOLUME)
        begun, shares = await self._threads.run(self._open_attempt, build, attempt, source.root)
        return MountedTreeCopy(
            source,
            self._mount,
            begun.place,
            self._threads,
            verify=begun.plan.verify,
            resumed=begun.resumed,
            trusted=begun.trusted,
            shares=shares,
        )

    def _open_attempt(self, build: UUID, attempt: str, source: Beneath) -> tuple[Attempt, bool]:
        begun = self._builds.open_attempt(build, attempt)
        return begun, shares_bytes(source, self._mount, begun.place)

    async def finish_build(self, op: Operation, build: UUID, attempt: str, destination: VFolderId) -> None:
        """Put what was copied at its place."""
        await self._threads.run(self._builds.finish, op, build, attempt, destination)

    async def drop_build(self, op: Operation, build: UUID) -> bool:
        """Give a build up."""
        return await self._threads.run(self._builds.drop, op, build)

    async def begin_work(self, op: Operation, work: Work) -> None:
        """Write down what a worker is to do."""
        await self._threads.run(self._work.begin, op, work)

    async def works(self) -> Sequence[Work]:
        """What workers are to do."""
        return await self._threads.run(self._work.all)

    async def checkpoint(self, work: UUID, state: bytes) -> None:
        """Keep how far a worker is."""
        await self._threads.run(self._work.keep, work, state)

    async def checkpointed(self, work: UUID) -> bytes:
        """How far a worker was."""
        return await self._threads.run(self._work.kept, work)

    async def end_work(self, op: Operation, work: UUID) -> Work | None:
        """Take work off the list."""
        return await self._threads.run(self._work.end, op, work)

    async def leftovers(self) -> Sequence[Leftover]:
        """What lies in Penstock's area and belongs to nothing."""
        return await self._threads.run(self._leftovers.find)

    async def discard(self, leftover: Leftover) -> None:
        """Have a leftover purged."""
        await self._threads.run(self._leftovers.discard, leftover)

    async def trash(self) -> Sequence[TrashEntry]:
        """What was deleted and is not yet forgotten."""
        return await self._threads.run(self._trash.entries)

    async def purge(self, trash: UUID) -> Purge:
        """Remove some of what a trash entry holds."""
        return await self._threads.run(self._trash.purge, trash)

    async def drop_trash(self, trash: UUID) -> None:
        """Forget a purged trash entry."""
        await self._threads.run(self._trash.drop, trash)

    async def folders(self) -> AsyncIterator[VFolderId]:
        """Every folder on the volume, found by looking."""
        found = self._folders.find()
        while batch := await self._threads.run(_take, found, _FOUND_STEP):
            for folder in batch:
                yield folder

    async def usage(self, folder: VFolderId, *, staging: bool = True) -> Usage:
        """Count what a folder holds."""
        return await self._counted(Count(staging=staging), partial(self._below, folder))

    async def recount(self, folder: VFolderId, *, full: bool) -> Usage:
        """Count what a folder holds, without reading directories that have not changed since the last time."""
        data = b"" if full else await self._threads.run(self._remembered, folder)
        memory = DirectoryMemory(data, time.time_ns())
        usage = await self._counted(Count(staging=False, memory=memory), partial(self._below, folder))
        if memory.is_same:
            return usage
        with suppress(PenstockError):  # on a full volume nothing is remembered, and counted all the same
            await self._threads.run(self._remember, folder, memory)
        return usage

    def _remembered(self, folder: VFolderId) -> bytes:
        """What the last count remembers; nothing where that cannot be read: it only saves time."""
        with suppress(OSError):
            return self._area.read_bytes(USAGE, _memory_name(folder))
        return b""

    def _remember(self, folder: VFolderId, memory: DirectoryMemory) -> None:
        with translated(self.name, Subject.VOLUME):
            self._area.write_bytes(USAGE, _memory_name(folder), memory.dump())

    async def _counted(self, count: Count, opened: Callable[[], Beneath]) -> Usage:
        return await Counting(count, opened, self._threads).run()

    async def capacity(self) -> Capacity:
        """Size of the file system."""
        return await self._threads.run(self._capacity)

    def _capacity(self) -> Capacity:
        with translated(self.name, Subject.VOLUME):
            known = os.statvfs(self._mount.fd)
        return Capacity(known.f_blocks * known.f_frsize, (known.f_blocks - known.f_bfree) * known.f_frsize)

    async def health(self) -> Health:
        """Whether the directory answers and can be written."""
        try:
            await self._threads.run(self._area.try_write)
        except StorageFullError as error:
            return Health(HealthStatus.DEGRADED, error.message)
        except PenstockError as error:
            return Health(HealthStatus.UNAVAILABLE, error.message)
        return Health(HealthStatus.HEALTHY)

    async def mount(self, folder: VFolderId, subpath: RelativePath) -> Mount:
        """Where a folder, or a directory in it, is found."""
        files = self.files(folder)
        await files.stat(ROOT)
        place = self._path.joinpath(*folder.directory)
        if not subpath.is_root and await self._is_directory(files, subpath):
            place = place.joinpath(*subpath.parts)
        known = await self._threads.run(mounted_as, str(self._path))
        return Mount(known.kind, str(place), known.source, known.options)

    @staticmethod
    async def _is_directory(files: MountedFiles, path: RelativePath) -> bool:
        try:
            return (await files.stat(path)).kind is EntryKind.DIRECTORY
        except NotFoundError:
            return False

    def files(self, folder: VFolderId) -> MountedFiles:
        """Names and bytes of a folder."""
        return MountedFiles(self._mount, folder, self._threads, self.outbox)


def _memory_name(folder: VFolderId) -> str:
    return folder.uuid.hex


def _take(found: Iterator[VFolderId], count: int) -> list[VFolderId]:
    with translated("looking for folders", Subject.VOLUME):
        return list(islice(found, count))
