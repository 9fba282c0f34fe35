"""What some volumes can do besides. A power is there if the methods are; nothing else declares it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Any, Final, Protocol, TypeGuard, runtime_checkable
from uuid import UUID

from backends.contract import FileAccess, FileStat, Operation, ReadHandle, Staging, Tell, Volume
from backends.intake import SocketIntake
from backends.outlet import SocketOutlet
from domain.ids import VFolderId, VolumeName
from domain.outbox import Mark, Written
from domain.paths import RelativePath
from domain.tasks import TaskKind
from domain.usage import Quota, Usage


@dataclass(frozen=True, slots=True)
class Mount:
    """How an agent reaches a folder."""

    #: `direct`, `nfs` or `fuse`.
    kind: str
    #: Absolute path on the hosts that mount the volume.
    path: str
    #: What is mounted, such as `server:/export`, and with which options; empty: not known.
    source: str = ""
    options: str = ""


@runtime_checkable
class Mountable(Protocol):
    """Folders can be mounted by agents."""

    @property
    def mount_path(self) -> str:
        """Absolute path of the volume on the hosts that mount it."""

    async def mount(self, folder: VFolderId, subpath: RelativePath) -> Mount:
        """Where a folder, or a directory in it, is found. Raises NotFoundError."""


@runtime_checkable
class TrashesFiles(Protocol):
    """Files and directories can be taken into the trash at once, however much they hold."""

    async def trash_files(
        self, op: Operation, folder: VFolderId, paths: Sequence[RelativePath], *, recursive: bool
    ) -> Sequence[RelativePath]:
        """Take entries out of a folder into the trash, as entry `op.id`; returns which of them were there.

        The folder itself (the root path) is emptied of all that may be taken. Directories stay unless `recursive`,
        or if they are empty. If nothing was there, there is no trash entry. Raises NotFoundError (subject vfolder).
        """


@runtime_checkable
class RestoresFolders(Protocol):
    """Deleted folders can be had back as long as nothing of them was purged."""

    async def restore_folder(
        self, op: Operation, trash: UUID, folder: VFolderId, *, task: UUID | None = None
    ) -> None:
        """Put a deleted folder back to its place. Repeat-safe by `op.id`.

        Args:
            task: the one it is held for, if it is.

        Raises NotFoundError (nothing of it is in the trash, or it is purged), ConflictError (`exists`, `held`).
        """

    async def trash_usage(self, trash: UUID) -> Usage:
        """Count what a deleted folder would hold again, without unfinished uploads. Raises NotFoundError."""

    async def doom_trash(self, op: Operation, trash: UUID, folder: VFolderId, *, task: UUID | None = None) -> None:
        """Have a deleted folder purged at once. Repeat-safe.

        Raises NotFoundError (nothing of that folder is there), ConflictError (`held`).
        """


@runtime_checkable
class MovesFolders(Protocol):
    """A folder can be given another id of the same volume, without moving bytes."""

    async def move_folder(self, op: Operation, source: VFolderId, destination: VFolderId) -> None:
        """Do it in one step, whole or not at all. Repeat-safe by `op.id`.

        Raises NotFoundError (subject vfolder: no source; subject quota-scope), ConflictError (`exists`).
        """


@runtime_checkable
class WithdrawsFolders(Protocol):
    """A folder can be taken from its place while it is copied elsewhere, so that nobody changes it any more."""

    async def withdraw_folder(self, op: Operation, folder: VFolderId, task: UUID) -> None:
        """Take it into the trash, as entry `op.id`, held for a task. Repeat-safe. Raises NotFoundError."""

    async def withdrawn_tree(self, trash: UUID) -> FolderTree:
        """All that a folder in the trash holds. Raises NotFoundError (subject vfolder)."""


@runtime_checkable
class FolderTree(Protocol):
    """All a folder holds, for a volume that can copy it. What else it has is between the two of them."""

    async def close(self) -> None:
        """Give it back. Repeat-safe."""


@runtime_checkable
class ShowsTrees(Protocol):
    """Folders can be copied whole by volumes of the same family."""

    async def tree(self, folder: VFolderId) -> FolderTree:
        """All a folder holds. Raises NotFoundError (subject vfolder)."""


class TreeCopy(Protocol):
    """A folder on its way from one place to another."""

    #: Entries and bytes dealt with so far, those an earlier attempt had copied included.
    items: int
    size_bytes: int
    #: Files that were changed while they were copied: the first 20 of them, relative to the folder.
    changed: Sequence[str]
    #: Whether an earlier attempt has copied some of it.
    resumed: bool
    #: Whether copies take no room, because they share their bytes.
    shares: bool

    async def step(self) -> bool:
        """Copy some more; True when all is there, durably.

        Raises:
            StorageFullError, QuotaExceededError: no room.
            NotFoundError: the source is gone, or another attempt has taken over.
            ConflictError: (`damaged`) a copy is not what was copied.
        """

    async def close(self) -> None:
        """Give it back; what was copied stays. Repeat-safe."""


@dataclass(frozen=True, slots=True)
class BuildPlan:
    """A folder that is being made by copying another one."""

    #: Id of the operation that began it.
    id: UUID
    source_volume: VolumeName
    source: VFolderId
    destination: VFolderId
    verify: bool = False
    #: Whether the source goes when its copy is at its place.
    moves: bool = False


@runtime_checkable
class BuildsFolders(Protocol):
    """Folders are made by copying others: aside first, then put at their place in one step."""

    async def begin_build(self, op: Operation, plan: BuildPlan) -> None:
        """Write down what is to be made. Repeat-safe. Raises ConflictError if the destination exists."""

    async def builds(self) -> Sequence[BuildPlan]:
        """What was begun, and neither finished nor dropped."""

    async def copy_into(self, build: UUID, attempt: str, source: FolderTree) -> TreeCopy:
        """Begin or go on with copying; an earlier attempt's copies are taken over, and its writer shut out.

        Raises NotFoundError (subject task: no such build, or one that is being finished), UnsupportedError (not a
        tree this volume can copy).
        """

    async def finish_build(self, op: Operation, build: UUID, attempt: str, destination: VFolderId) -> None:
        """Put what was copied at its place. Repeat-safe by `op.id`.

        Raises NotFoundError (no such build or attempt), ConflictError (`exists`).
        """

    async def drop_build(self, op: Operation, build: UUID) -> bool:
        """Give a build up: what was copied goes to the trash. Repeat-safe; False if there is no such build."""


@dataclass(frozen=True, slots=True)
class Work:
    """Something a worker is to do, as the volume has it written down."""

    #: Id of the operation that asked for it.
    id: UUID
    kind: TaskKind
    #: None: with all of the volume.
    folder: VFolderId | None
    options: Mapping[str, Any]


@runtime_checkable
class KeepsWork(Protocol):
    """The volume has the list of what workers are to do with it, and how far they are."""

    async def begin_work(self, op: Operation, work: Work) -> None:
        """Write down what is to be done. Repeat-safe by `op.id`."""

    async def works(self) -> Sequence[Work]:
        """What was begun and has not ended."""

    async def checkpoint(self, work: UUID, state: bytes) -> None:
        """Keep what a worker needs to go on where it was, durably. Raises NotFoundError (subject task)."""

    async def checkpointed(self, work: UUID) -> bytes:
        """What was kept last; empty: nothing. Raises NotFoundError (subject task)."""

    async def end_work(self, op: Operation, work: UUID) -> Work | None:
        """Take it off the list; None if it is not on it. Repeat-safe by `op.id`."""


@dataclass(frozen=True, slots=True)
class StagedUpload:
    """An unfinished upload, as the volume has it."""

    session: str
    #: Unix time of the last byte.
    modified: float


@runtime_checkable
class ListsStagings(Protocol):
    """Power of a FileAccess: unfinished uploads can be found by looking."""

    async def stagings(self) -> Sequence[StagedUpload]:
        """All of the folder. Raises NotFoundError (subject vfolder)."""


@dataclass(frozen=True, slots=True)
class Leftover:
    """Something on the volume that belongs to nothing."""

    #: Where it lies, in words an operator can follow.
    name: str
    detail: str
    #: Unix time of its last change.
    modified: float


@runtime_checkable
class FindsLeftovers(Protocol):
    """The volume can be searched for what no operation will ever come back to."""

    async def leftovers(self) -> Sequence[Leftover]:
        """What there is."""

    async def discard(self, leftover: Leftover) -> None:
        """Have it purged like everything that was deleted. Repeat-safe."""


@runtime_checkable
class ClonesFolders(Protocol):
    """The storage copies folders by its own means, without moving bytes through Penstock."""

    async def clone_folder(self, op: Operation, source: VFolderId, destination: VFolderId) -> None:
        """Copy a folder to a new one, whole or not at all. Raises NotFoundError, ConflictError."""


@runtime_checkable
class TakesSnapshots(Protocol):
    """The storage keeps read-only images of folders."""

    async def create_snapshot(self, op: Operation, folder: VFolderId, name: str) -> None:
        """Keep an image. Raises NotFoundError, ConflictError."""

    async def snapshots(self, folder: VFolderId) -> Sequence[str]:
        """Names of the images kept, the oldest first. Raises NotFoundError."""

    async def delete_snapshot(self, op: Operation, folder: VFolderId, name: str) -> None:
        """Drop an image. Raises NotFoundError."""


@runtime_checkable
class LimitsFolders(Protocol):
    """Single folders can have limits."""

    async def set_folder_quota(
        self, op: Operation, folder: VFolderId, limit_bytes: int | None, soft_bytes: int | None
    ) -> None:
        """Set or (None) remove the limits of a folder. Raises NotFoundError."""

    async def folder_quota(self, folder: VFolderId) -> Quota:
        """Limits of a folder; one that is not there has none."""


@runtime_checkable
class CountsFast(Protocol):
    """The storage keeps count by itself."""

    async def fast_usage(self, folder: VFolderId) -> Usage:
        """What a folder holds, as the storage last knew. Raises NotFoundError."""


@runtime_checkable
class Recounts(Protocol):
    """Counting again takes less time than counting did, where little has changed."""

    async def recount(self, folder: VFolderId, *, full: bool) -> Usage:
        """Count what a folder holds without unfinished uploads, and remember it for the next time.

        What was changed behind Penstock's back may only be seen by a `full` count. Raises NotFoundError.
        """


@runtime_checkable
class ReportsMetrics(Protocol):
    """The storage tells how it is doing."""

    async def metrics(self) -> Mapping[str, float]:
        """Figures by name, with the unit at the end of the name."""


class Outbox(Protocol):
    """What was told of changes on a volume, in the order it was, until the bus has it. All may call everything."""

    def mark(self) -> Mark | None:
        """What differs once anything more was written; None: that cannot be told without waiting."""

    async def parts(self) -> Sequence[Mark]:
        """Its parts and their sizes, the oldest first; entries go to the last, for a moment to those before it."""

    async def read(self, part: str, offset: int) -> Sequence[Written]:
        """Durable entries of a part behind an offset, some of them; none: there are no more now."""

    async def drop(self, part: str, offset: int) -> bool:
        """Remove a part that was read up to an offset, for good; False: not yet."""

    async def arriving(self) -> Sequence[str]:
        """Ids of uploads on their way to their places (`PlacesWhole`): now, or when their process died.

        Takes away what `bar_whole` has left.
        """

    async def recover(self, session: str, words: Callable[[Arrival], bytes]) -> Recovered:
        """Tell of an upload that is at its place and not told of, because a process died.

        Args:
            words: what is to be written down of it; empty: nothing. May be called on another thread.

        If it was not at its place yet what is there of it is removed. Repeat-safe.
        """


@runtime_checkable
class KeepsOutbox(Protocol):
    """Changes of files can be told on the volume itself, in the step that makes them durable (`Tell`)."""

    @property
    def outbox(self) -> Outbox | None:
        """None: this one cannot, e.g. for what it is mounted as."""


def outboxes(volumes: Mapping[VolumeName, Volume]) -> dict[VolumeName, Outbox]:
    """The outboxes there are."""
    found = {name: volume.outbox for name, volume in volumes.items() if isinstance(volume, KeepsOutbox)}
    return {name: outbox for name, outbox in found.items() if outbox is not None}


@dataclass(frozen=True, slots=True)
class WholeUpload:
    """An upload of which all bytes are there."""

    session: str
    data: bytes
    destination: RelativePath
    #: What `Outbox.recover` needs to tell of it, up to 160 bytes.
    note: bytes
    sha256: bytes | None = None
    #: Of one that was begun, so that others may be at it: whether it is still to be put at its place. Asked right
    #: before, on another thread. None: nobody has heard of it.
    claim: Callable[[], bool] | None = None


@dataclass(frozen=True, slots=True)
class Arrival:
    """A file that was put at its place and not told of."""

    session: str
    note: bytes
    size_bytes: int
    sha256: bytes | None
    #: Unix time of its last byte.
    time: float


class Recovered(IntEnum):
    """What was found of an upload on its way to its place, the weightiest last."""

    NOTHING = 0
    #: Its process had died. It is told of now, or nothing is left of it.
    ENDED = 1
    #: It is at its place, and cannot be told of now.
    UNTOLD = 2
    #: It is still on its way.
    BUSY = 3


@runtime_checkable
class PlacesWhole(Protocol):
    """Power of a FileAccess: a small file is made, made durable and told of in one step."""

    async def place_whole(self, upload: WholeUpload, tell: Tell[None]) -> bool:
        """Put a file at its place, where nothing is, with its parents; False if it cannot be done this way.

        Durable, whole or not at all, and told of, when this returns; if the process dies meanwhile,
        `Outbox.recover` tells of it or removes it. Raises StorageFullError, NotFoundError (subject vfolder).
        """

    async def expect_whole(self, size_bytes: int) -> None:
        """See that there is room for a file to come. Raises StorageFullError, NotFoundError (subject vfolder)."""

    async def bar_whole(self, session: str) -> None:
        """Have nobody put a begun upload at its place like this any more who had begun to before.

        Holds for a second; to be called before its staging goes, which has held so far.
        """

    async def is_untouched(self, session: str) -> bool:
        """Whether nothing is there of an upload: no staging, and nothing on its way. Raises NotFoundError."""


def places_whole(files: FileAccess) -> TypeGuard[PlacesWhole]:
    """Whether it can.

    That its class can is remembered; `isinstance` goes through the methods anew each time, in 10 µs (Python 3.11).
    """
    return issubclass(type(files), PlacesWhole) or isinstance(files, PlacesWhole)


@runtime_checkable
class ReadsAtOnce(Protocol):
    """Power of a FileAccess: bytes that lie in memory are read on the event loop, without waiting for anything."""

    def read_at_once(
        self, path: RelativePath, few: Callable[[FileStat], tuple[int, int] | None]
    ) -> bytes | bytearray | None:
        """Read some bytes of a regular file, as `FileAccess.open_or_read`.

        Returns None for whatever cannot be done at once, or cannot be done at all; `open_or_read` tells why.
        """


@runtime_checkable
class SendsToSocket(Protocol):
    """Power of a ReadHandle: its bytes can go to a socket inside the kernel."""

    async def send(self, outlet: SocketOutlet, offset: int, count: int) -> int:
        """Send up to `count` bytes; returns how many. Fewer: the socket takes no more now, or never (`failure`).

        Raises BackendFaultError if the file ends before `count` bytes were sent.
        """


@runtime_checkable
class ReadsAnew(Protocol):
    """Power of a ReadHandle: what is in memory of the file can be dropped, and is read from the storage then."""

    async def forget(self) -> None:
        """Drop it, as far as the system lets it go: what is not stored yet, or mapped by somebody, stays."""


@runtime_checkable
class ReceivesFromSocket(Staging, Protocol):
    """Power of a Staging: it takes bytes from a socket by itself."""

    async def receive(self, intake: SocketIntake) -> None:
        """Append what the socket has, up to `intake.left` bytes; returns soon, with the intake telling why.

        Bytes that were taken when the storage fails count as taken. Raises as `Staging.append`.
        """


@runtime_checkable
class KnowsItsPlace(Protocol):
    """Power of a ReadHandle: it is a file on the volume's mount, which others may see as well."""

    async def place(self) -> str | None:
        """Its path below the volume's root, without links; None: there is none that can be told."""


@runtime_checkable
class CopiesFromFiles(Staging, Protocol):
    """Power of a Staging: bytes of a file of the same volume get there without passing through Penstock."""

    async def share_all(self, handle: ReadHandle) -> bool:
        """Share all bytes of an open file, as they are at one moment; False if the storage cannot.

        Nothing was stored before. Raises as `Staging.append`.
        """

    async def append_from(self, handle: ReadHandle, offset: int, count: int) -> int:
        """Append bytes of an open file; returns how many, none at its end. Hashers are not fed.

        Raises as `Staging.append`.
        """


class Capability(StrEnum):
    """What a volume advertises, in Backend.AI's words."""

    VFOLDER = "vfolder"
    QUOTA = "quota"
    METRIC = "metric"
    FAST_SIZE = "fast-size"
    SNAPSHOT = "snapshot"
    CLONE = "clone"


_BY_POWER: Final[Mapping[type, Capability]] = {
    ReportsMetrics: Capability.METRIC,
    CountsFast: Capability.FAST_SIZE,
    TakesSnapshots: Capability.SNAPSHOT,
    ClonesFolders: Capability.CLONE,
}


def capabilities(volume: Volume) -> list[Capability]:
    """What a volume can do, computed from the powers it has."""
    extra = [capability for power, capability in _BY_POWER.items() if isinstance(volume, power)]
    return [Capability.VFOLDER, Capability.QUOTA, *extra]
