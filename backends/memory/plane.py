"""Where the bytes of one folder are: what a tree and a bucket have in common."""

from __future__ import annotations

import itertools
import stat
import time
from dataclasses import dataclass, field
from typing import Final, Protocol

from backends.contract import Committed, Entry, EntryKind, FileStat
from domain.errors import ConflictError, NotFoundError, QuotaExceededError, Subject
from domain.paths import RelativePath

_identities: Final = itertools.count(1)


def missing(path: object, subject: Subject = Subject.FILE) -> NotFoundError:
    """Nothing of that name."""
    return NotFoundError(f"{path}: not there", subject=subject, path=str(path))


def conflict(reason: str, path: object, subject: Subject = Subject.FILE) -> ConflictError:
    """Something is in the way."""
    return ConflictError(f"{path}: {reason}", subject=subject, reason=reason, path=str(path))


@dataclass(frozen=True, slots=True)
class Stored:
    """One file."""

    data: bytes
    time_ns: int = field(default_factory=time.time_ns)
    identity: int = field(default_factory=lambda: next(_identities))
    #: Kept digest, at most one.
    digests: list[bytes] = field(default_factory=list)

    @property
    def stat(self) -> FileStat:
        """As `FileAccess.stat` tells it."""
        mode = stat.S_IFREG | 0o644
        return FileStat(EntryKind.FILE, len(self.data), mode, self.time_ns, self.time_ns, self.identity)


DIRECTORY_STAT: Final = FileStat(EntryKind.DIRECTORY, 0, stat.S_IFDIR | 0o755, 0, 0, 0)


class Room:
    """How many bytes a volume takes; lets a test fill it."""

    def __init__(self, total_bytes: int) -> None:
        self.total_bytes = total_bytes
        self.used_bytes = 0

    def take(self, wanted: int) -> int:
        """Reserve up to `wanted` bytes; returns how many there were."""
        taken = min(wanted, self.total_bytes - self.used_bytes)
        self.used_bytes += taken
        return taken

    def give(self, count: int) -> None:
        """Give bytes back."""
        self.used_bytes -= count


def refuse(what: str) -> QuotaExceededError:
    """No room in memory for more."""
    return QuotaExceededError(f"{what}: the owner's storage limit is reached", subject=Subject.UPLOAD)


class Plane(Protocol):
    """Bytes and names of one folder."""

    #: Notes of uploads by their session; those of ended ones do no harm.
    notes: dict[str, bytes]

    def stat(self, path: RelativePath) -> FileStat:
        """Look at an entry."""

    def names(self, path: RelativePath) -> list[Entry]:
        """Entries of a directory."""

    def read(self, path: RelativePath) -> Stored:
        """A file."""

    def make_directory(self, path: RelativePath) -> None:
        """Make a directory whose parent is there."""

    def move(self, source: RelativePath, destination: RelativePath) -> None:
        """Rename what is at `source`; `destination` is free or a file."""

    def remove(self, path: RelativePath) -> None:
        """Remove an entry with all below it."""

    def begin(self, session: str, destination: RelativePath) -> None:
        """Begin an upload."""

    def append(self, session: str, data: bytes) -> int:
        """Add bytes; returns how many are stored now."""

    def staged(self, session: str) -> int:
        """Bytes stored of an upload."""

    def truncate(self, session: str, offset: int) -> None:
        """Drop what was stored of an upload behind an offset."""

    def staged_data(self, session: str) -> bytes:
        """What was stored of an upload."""

    def check_target(self, path: RelativePath) -> int | None:
        """Size of what a file would replace there, None for nothing; a directory is in the way."""

    def commit(self, session: str, destination: RelativePath, sha256: bytes | None) -> Committed:
        """Finish an upload."""

    def abort(self, session: str) -> None:
        """Drop an upload."""

    def all_files(self) -> list[Stored]:
        """Every file."""

    def copy(self) -> Plane:
        """The same contents, on their own."""
