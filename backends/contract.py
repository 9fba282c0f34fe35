"""What every volume does.

Written for both kinds of file plane: a mounted file system, where staging is a file and committing a rename,
and an object store, where staging is a multipart upload and there is no rename. Nothing here says how.

Promises that hold for every method: it never blocks the event loop; cancelling it leaves nothing half-done
that a repetition would not repair; it raises only errors of `domain.errors`. A path is resolved beneath its
folder by the storage itself, so a link or a race never leads out of it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, NamedTuple, Protocol, TypeAlias, TypeVar
from uuid import UUID

from backends.patience import Patience
from domain.errors import PenstockError
from domain.ids import QuotaScopeId, VFolderId, VolumeName
from domain.outbox import Place
from domain.paths import RelativePath
from domain.usage import Capacity, Health, Quota, Usage

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Operation:
    """Identity of one change of folders: the command that asked for it, and by which lease it is done.

    Each mutating method of a volume is repeat-safe by `id`: done again it changes nothing more and returns what
    it returned before, as far as the volume can remember.
    """

    id: UUID
    epoch: int = 0


class EntryKind(StrEnum):
    """What a name stands for."""

    FILE = "file"
    DIRECTORY = "directory"
    SYMLINK = "symlink"
    #: A socket, FIFO or device: shown, never opened.
    OTHER = "other"


class FileStat(NamedTuple):
    """What is known of one entry without reading it. Listings make very many of them."""

    kind: EntryKind
    size_bytes: int
    #: Type and permission bits, as `stat` gives them.
    mode: int
    #: Unix time of the last change of contents, in nanoseconds.
    modified_ns: int
    #: Unix time of the last change of contents or attributes, in nanoseconds.
    changed_ns: int
    #: Changes when another file takes the name.
    identity: int


class Entry(NamedTuple):
    """One name in a directory."""

    name: str
    stat: FileStat
    #: For a link: where it leads, relative to the listed directory; empty if out of it.
    link_target: str = ""


#: A file that was read whole.
SmallRead: TypeAlias = tuple[FileStat, bytes]


class SmallFile(NamedTuple):
    """A file that is stored whole."""

    path: RelativePath
    data: bytes


class EnsuredScope(NamedTuple):
    """A quota scope that is there."""

    #: Whether the operation that asked has made it, now or in an earlier try.
    made: bool
    quota: Quota


@dataclass(frozen=True, slots=True)
class Listing:
    """Names of a directory, in no order, at most as many as asked for."""

    entries: Sequence[Entry]
    #: Whether there are more names than were asked for.
    truncated: bool


@dataclass(frozen=True, slots=True)
class Committed:
    """A staged file at its destination."""

    size_bytes: int
    #: Size of the file it replaced, None if there was none.
    replaced_bytes: int | None


@dataclass(frozen=True, slots=True)
class Synced:
    """A staged file that is durable where it is."""

    size_bytes: int
    #: Size of the file it would replace now, None if there is none.
    replaced_bytes: int | None


class Tell(Generic[T]):
    """What is to be told of a change, for a volume that has an outbox (`powers.KeepsOutbox`).

    Such a volume writes it down there in the step that makes the change durable; others pass over it.

    Args:
        words: makes it of what came of the change; empty: there is nothing to tell. May be called on another
            thread.
    """

    def __init__(self, words: Callable[[T], bytes]) -> None:
        self.words = words
        #: Where it was written down: then whoever reads the outbox tells of the change. None: it was not.
        self.place: Place | None = None


class Hasher(Protocol):
    """Something of `hashlib`, or like it."""

    def update(self, data: bytes | memoryview, /) -> None:
        """Take in more bytes."""

    def digest(self) -> bytes:
        """The digest of all bytes so far."""

    def copy(self) -> Hasher:
        """Another one that has seen the same bytes."""


class ReadHandle(Protocol):
    """An open file, as it was when it was opened: a file that takes its name later does not show."""

    @property
    def stat(self) -> FileStat:
        """What was known at opening."""

    async def read(self, offset: int, count: int) -> bytes:
        """Read up to `count` bytes; fewer only at the end of the file."""

    async def is_unchanged(self) -> bool:
        """Whether nobody has written to it since, or changed its attributes, as far as the storage tells."""

    async def sha256(self) -> bytes | None:
        """The digest that was kept with the file, if it still is of the bytes there."""

    async def keep_sha256(self, digest: bytes) -> None:
        """Keep the digest of the bytes it had at opening with the file, as long as they do not change."""

    async def close(self) -> None:
        """Give it back. Repeat-safe."""


class Staging(Protocol):
    """An unfinished upload, open for appending. One writer at a time is the caller's care."""

    @property
    def offset(self) -> int:
        """Bytes stored so far; a crash of this process loses none of them."""

    @property
    def hashers(self) -> list[Hasher]:
        """Fed with all bytes stored from now on, in order, by the thread that stores them. Change between calls."""

    @property
    def is_stuck(self) -> bool:
        """Whether the storage has given no answer to a call in time, and may still do it: also when this is closed.

        Then nobody knows what hashers have seen.
        """

    async def append(self, chunks: Sequence[bytes]) -> None:
        """Store bytes behind those stored before.

        Raises:
            QuotaExceededError, StorageFullError: no room; `offset` tells how much was stored.
        """

    async def append_last(self, chunks: Sequence[bytes], destination: RelativePath) -> Synced:
        """Store the last bytes and make all of them durable, like `FileAccess.sync_staging`, in one go.

        Nothing can be stored behind them, or dropped. Raises as `append` and `FileAccess.sync_staging`.
        """

    async def truncate(self, offset: int) -> None:
        """Drop the bytes behind an offset, durably. What hashers were fed is not taken back."""

    async def close(self) -> None:
        """Give it back; what was stored stays, and hashers are fed no more. Repeat-safe."""


class ReadAccess(Protocol):
    """Names and bytes inside one folder, to be read.

    Raises everywhere: NotFoundError (subject vfolder: no such folder; subject file: no such name),
    InvalidPathError (leads out of the folder), ConflictError with `reason` one of `exists`, `not-a-directory`,
    `is-a-directory`, `not-empty`, `not-a-file`, `into-itself`.
    """

    async def stat(self, path: RelativePath) -> FileStat:
        """Look at an entry; a link is looked at itself."""

    async def listing(self, path: RelativePath, *, limit: int) -> Listing:
        """List a directory."""

    async def open_read(self, path: RelativePath) -> ReadHandle:
        """Open a regular file; a link inside the folder is followed."""

    async def open_or_read(
        self, path: RelativePath, few: Callable[[FileStat], tuple[int, int] | None]
    ) -> tuple[FileStat, bytes | ReadHandle]:
        """Open a regular file like `open_read`, or read some of its bytes at once; all in one state of it.

        Once the file was changed, as far as the storage tells, the handle reads no more of it (BackendFaultError).
        Raises BusyError if it is written to all the time.

        Args:
            few: told what is known of the file, says which bytes (offset, count) are all that is wanted of it;
                None: it is to be opened. May be called on another thread.
        """

    async def read_many(
        self, paths: Sequence[RelativePath], *, max_bytes: int, then: Callable[[Sequence[SmallRead | None]], T]
    ) -> T:
        """Read small files whole, in one go.

        None stands for what is no regular file, is gone, is longer, or was written to meanwhile.

        A link is not followed. Many files cost little more than one.

        Args:
            then: is given what was read, on the thread that has read it; what it returns is returned.
        """

    async def forbidden(self, directory: RelativePath, names: Sequence[str]) -> Collection[str]:
        """Which of some files in a directory the storage does not permit to be read, found in one go.

        Nothing is said of what is not there, or is found wrong in any other way.
        """


class FileAccess(ReadAccess, Protocol):
    """Names and bytes inside one folder. Raises everywhere as `ReadAccess`."""

    async def store_many(self, session: str, files: Sequence[SmallFile]) -> Sequence[int | None]:
        """Put small files at their places, each whole or not at all; all are durable when this returns.

        Parents are made, files that are there replaced. Many files cost little more than one; if one cannot be put
        at its place, those before it stay.

        Args:
            session: the upload they come with. What a crash leaves of them goes when that is discarded.

        Returns the bytes each of them replaced; None: nothing was there. Raises QuotaExceededError,
        StorageFullError.
        """

    async def make_directories(
        self,
        paths: Sequence[RelativePath],
        *,
        parents: bool,
        exist_ok: bool,
        tell: Tell[Sequence[PenstockError | None]] | None = None,
    ) -> Sequence[PenstockError | None]:
        """Make directories; they are durable when this returns, also those that were there.

        Returns for each why it was not made; None: it was.
        """

    async def move(
        self, source: RelativePath, destination: RelativePath, *, tell: Tell[bool] | None = None
    ) -> bool:
        """Give an entry another name or place. Replaces a file; tells whether it did.

        A directory at the destination is in the way (`is-a-directory`). Atomic if the volume renames atomically.
        """

    async def delete(self, path: RelativePath, *, recursive: bool) -> bool:
        """Remove an entry; False if it was not there.

        The folder itself is emptied, not removed. A directory needs `recursive`, else `is-a-directory`. Before it
        is told of, `sync_names` makes it durable, once for all that was removed. An error in the middle of a tree
        tells as `removed` how many entries are gone.
        """

    async def sync_names(self, paths: Collection[RelativePath], *, tell: Tell[None] | None = None) -> None:
        """Make durable that these names are there, or are not there any more."""

    async def create_staging(
        self,
        session: str,
        *,
        destination: RelativePath,
        length: int | None,
        note: bytes = b"",
    ) -> None:
        """Begin an upload of `length` bytes (None: not known yet) that is meant for `destination`.

        Args:
            note: what to keep beside its bytes, up to some 3 KiB, for the day on which all else is lost.

        Repeat-safe. Raises StorageFullError at once when the volume could not hold it.
        """

    async def stage_whole(self, session: str, data: bytes, destination: RelativePath) -> Synced:
        """Begin an upload of which all bytes are there, and make it durable like `sync_staging`, in one go.

        If that cannot be, nothing is begun. Raises as `create_staging`, `Staging.append` and `sync_staging`.
        """

    async def staging_note(self, session: str) -> bytes:
        """The note of an upload; empty if none could be kept. Raises NotFoundError (subject upload)."""

    async def open_staging(self, session: str, patience: Patience | None = None) -> Staging:
        """Open an upload for appending. Raises NotFoundError (subject upload).

        Args:
            patience: for how long calls are waited for, from this one on; None: as long as any.
        """

    async def renew_staging(self, session: str, count: int) -> None:
        """Keep the first `count` bytes of an upload only, where nothing changes them that was begun before.

        Raises NotFoundError (subject upload), QuotaExceededError, StorageFullError.
        """

    async def staged_bytes(self, session: str) -> int:
        """Bytes stored so far. Raises NotFoundError (subject upload)."""

    async def read_staging(self, session: str) -> ReadHandle:
        """Open what is stored so far for reading. Raises NotFoundError (subject upload)."""

    async def sync_staging(self, session: str, destination: RelativePath) -> Synced:
        """Make a staged file durable where it is, so that not even a power failure takes it away.

        Raises NotFoundError (subject upload), and ConflictError if it cannot be put at its destination.
        """

    async def commit_staging(
        self, session: str, destination: RelativePath, *, sha256: bytes | None = None
    ) -> Committed:
        """Put a staged file that was synced at its destination, durably, whole or not at all; parents are made.

        Its digest, if given, is kept with it.

        A file there is replaced. Raises NotFoundError (subject upload) if the staging is gone, as it is after
        it was committed.
        """

    async def discard_staging(self, session: str) -> None:
        """Free the bytes of an upload, and what came with it. Repeat-safe."""


@dataclass(frozen=True, slots=True)
class TrashEntry:
    """A deleted folder, or files deleted from one, that wait to be purged."""

    #: Id of the operation that deleted it.
    id: UUID
    folder: VFolderId
    #: Whether it is files of the folder, not the folder.
    files: bool = False
    #: Unix time of the deletion; 0: not known.
    time: float = 0.0
    #: Whether it is not to be kept for somebody who may want it back, or is being purged already.
    doomed: bool = False
    #: The task for which it is kept, as a folder on its way to another volume is; None: it was deleted.
    held: UUID | None = None


@dataclass(frozen=True, slots=True)
class Purge:
    """Progress of removing a trash entry."""

    #: Files and directories removed by this step.
    removed: int
    finished: bool
    #: Whether there is no such entry: it was restored, or is forgotten already.
    gone: bool = False


class FenceLevel(StrEnum):
    """How a volume keeps an owner away whose time is over."""

    #: No change of a past epoch can take effect, whenever it comes.
    FENCED = "fenced"
    #: Each change is conditional on a state only the present owner knows.
    CONDITIONAL = "conditional"
    #: A new owner waits until no call of the last one can still be under way.
    GRACE = "grace"


class Volume(Protocol):
    """One storage system, or part of one, that holds folders."""

    @property
    def name(self) -> VolumeName:
        """Its name in the configuration."""

    @property
    def backend(self) -> str:
        """Name of its driver."""

    @property
    def fence(self) -> FenceLevel:
        """How surely an owner that was stopped and goes on too late is kept from changing folders."""

    async def epoch(self) -> int:
        """Epoch of the last owner, as the volume itself remembers it; 0 if there never was one."""

    async def take_over(self, epoch: int) -> None:
        """Let only operations of this epoch change folders from now on.

        What an earlier owner was in the middle of is undone, or completed where it had taken effect.

        Raises:
            FencedError: the volume has seen this epoch or a later one.
        """

    async def append_journal(self, epoch: int, entries: Sequence[bytes]) -> None:
        """Write entries down durably, as the owner of this epoch; the oldest ones are forgotten at some MiB.

        None of them is empty.
        """

    async def journal(self) -> Sequence[bytes]:
        """What owners wrote down, oldest first; what the last one was in the middle of writing is left out."""

    # --- control plane: called by the volume's actor only; FencedError when it is not that any more ---

    async def ensure_scope(self, op: Operation, scope: QuotaScopeId) -> EnsuredScope:
        """Make a quota scope if it is not there."""

    async def create_scope(
        self, op: Operation, scope: QuotaScopeId, limit_bytes: int | None, soft_bytes: int | None = None
    ) -> None:
        """Make a quota scope. Raises ConflictError (`exists`)."""

    async def delete_scope(self, op: Operation, scope: QuotaScopeId) -> None:
        """Remove an empty quota scope. Raises NotFoundError, ConflictError (`not-empty`)."""

    async def set_quota(
        self, op: Operation, scope: QuotaScopeId, limit_bytes: int | None, soft_bytes: int | None = None
    ) -> None:
        """Set or (None) remove the limits of a scope. Raises NotFoundError."""

    async def create_folder(self, op: Operation, folder: VFolderId, mode: int) -> None:
        """Make an empty folder in an existing scope.

        Raises NotFoundError (subject quota-scope), ConflictError (`exists`).
        """

    async def delete_folder(self, op: Operation, folder: VFolderId) -> None:
        """Take a folder out of its place into the trash, as entry `op.id`. Raises NotFoundError."""

    async def drop_trash(self, trash: UUID) -> None:
        """Forget a purged trash entry. Repeat-safe."""

    # --- control plane: reading ---

    async def quota(self, scope: QuotaScopeId) -> Quota:
        """Limits of a scope. Raises NotFoundError (subject quota-scope)."""

    async def usage(self, folder: VFolderId, *, staging: bool = True) -> Usage:
        """Count what a folder holds, with or without unfinished uploads. Raises NotFoundError."""

    async def capacity(self) -> Capacity:
        """Size of the file system."""

    async def health(self) -> Health:
        """Whether the volume works, found out by trying."""

    def folders(self) -> AsyncIterator[VFolderId]:
        """Every folder on the volume, found by looking; for rebuilding a lost catalogue."""

    async def trash(self) -> Sequence[TrashEntry]:
        """Trash entries not yet forgotten."""

    async def purge(self, trash: UUID) -> Purge:
        """Remove some of what a trash entry holds; call until finished. Repeat-safe."""

    # --- file plane ---

    def files(self, folder: VFolderId) -> FileAccess:
        """Names and bytes of a folder; whether it exists shows at the first use."""
