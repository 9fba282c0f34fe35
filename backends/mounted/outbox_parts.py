"""Words about changes of files, written down on the volume in the step that makes the changes durable.

    .penstock/outbox/<number, 12 digits>-<8 hex digits>

All gateways of the host append to the newest part, so that its order is the order in which changes were told of. An
entry is one `write` to a file opened with O_APPEND, and one sync: where the file system keeps the order of such
steps (`MountedAs.keeps_order`), that sync has all names durable that were changed before, and nothing else has to
be synced. There is no outbox elsewhere, nor where other hosts have the volume.

A part that has its size gets a successor. Whoever appends holds a lock of the part (`flock`, shared), which ends
with its process: a part nobody else holds, and that is not the newest, gets no more entries. Nor does one nobody
holds when an outbox is opened: a power failure, or a backup, may have left less of it than the bus has taken over,
and what would be written there would be taken for that.

What is between two entries, because a process died while it wrote, is passed over by who reads. Nobody reads what a
power failure could still take. Blocking, but for `mark`.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import secrets
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Final, NamedTuple

from loguru import logger

from backends.descriptor import SharedDescriptor
from backends.mounted.area import OUTBOX, Area
from backends.mounted.beneath import opened, readable
from backends.mounted.errors import translated
from backends.mounted.marked import found, marked
from domain.errors import BackendUnavailableError, PenstockError, Subject
from domain.outbox import Mark, Place, Written

_NAME: Final = re.compile(r"(\d{12})-[0-9a-f]{8}")
_MODE: Final = 0o600
_APPEND: Final = os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
#: Size at which a part gets a successor, in bytes, and how many parts there may be; then nothing more is taken.
_PART_BYTES: Final = 4 << 20
_PARTS: Final = 16
#: Longest entry, and how much is read at once, in bytes.
_ENTRY_BYTES: Final = 1 << 20
_READ_BYTES: Final = 256 << 10
#: How often it is said that nothing is taken, in seconds.
_COMPLAIN_SECONDS: Final = 30.0
#: What a directory's time does not tell apart, in nanoseconds: the kernel's clock has ticks.
_TICK_NS: Final = 50_000_000
#: First byte of an entry: whether the same may have been written before.
_ONCE, _AGAIN = b"\0", b"\1"


class _Part(NamedTuple):
    """A part this process may write to."""

    name: str
    descriptor: SharedDescriptor


class OutboxParts:
    """The files of one outbox. Calls come from several threads at once."""

    def __init__(self, area: Area) -> None:
        self._area = area
        self._lock = threading.Lock()
        #: Held while something is written, for who writes next moves the descriptor's position.
        self._position = threading.Lock()
        self._directory = -1
        self._newest: _Part | None = None
        #: Name of the part that is not to be written to any more, though it may be the newest.
        self._ended = ""
        #: When the directory was changed last, as the newest part was found; 0: it has to be looked for anew.
        self._changed_ns = 0
        #: By part, up to where it is known to be durable, in bytes.
        self._durable: dict[str, int] = {}
        self._next_complaint = 0.0

    def open(self) -> None:
        """Find the newest part, or make one. Repeat-safe."""
        with translated(OUTBOX, Subject.VOLUME), self._lock:
            if self._directory >= 0:
                return
            with self._area.place(OUTBOX) as place:
                self._directory = readable(place.fd)
            try:
                self._leave_former()
                self._find()
            except OSError as error:
                # There is no room for a part. What is told meanwhile is told some other way.
                self._complain(error)

    def close(self) -> None:
        """Give everything back, unless a thread stands still in it: that one keeps it."""
        if not self._lock.acquire(blocking=False):
            return
        try:
            if self._newest is not None:
                self._newest.descriptor.close()
            if self._directory >= 0:
                os.close(self._directory)
            self._newest, self._directory = None, -1
        finally:
            self._lock.release()

    # --- writing --------------------------------------------------------------------------------------

    def put(self, words: bytes, *, again: bool = False) -> bool:
        """Write an entry down, durably; False if it cannot be taken, and has to be told some other way.

        Raises BackendFaultError, or what else the storage says, if it was written, and maybe not durably.
        """
        return self.put_all([words], again=again)[0] is not None

    def put_all(self, entries: Sequence[bytes], *, again: bool = False) -> Sequence[Place | None]:
        """Write entries down, with one sync for all; tells where each is. None: it is empty, or was not taken.

        Raises as `put`.
        """
        kind = _AGAIN if again else _ONCE
        taken = [marked(kind + words) if 0 < len(words) < _ENTRY_BYTES else b"" for words in entries]
        data = b"".join(taken)
        try:
            if data:
                with self._writing() as (part, fd):
                    start, written = self._append(fd, data)
                    if written:
                        self._sync(part, fd, start + written)
                    return _places(part.name, start, start + written, taken)
        except OSError as error:
            self._complain(error)
        return [None] * len(taken)

    def _complain(self, error: OSError) -> None:
        """Have it in the log that nothing is taken; now and then, for it may be so for long."""
        if time.monotonic() > self._next_complaint:
            self._next_complaint = time.monotonic() + _COMPLAIN_SECONDS
            logger.warning("the outbox takes nothing: {}", error)

    def _append(self, fd: int, data: bytes) -> tuple[int, int]:
        """Write behind what others have written; tells where that was, and how much."""
        with self._position:
            written = os.write(fd, data)
            return os.lseek(fd, 0, os.SEEK_CUR) - written, written

    @contextmanager
    def _writing(self) -> Iterator[tuple[_Part, int]]:
        """The part to write to, kept open meanwhile."""
        with ExitStack() as stack:
            while True:
                part = self._current()
                with suppress(BackendUnavailableError):  # it has got a successor just now
                    fd = stack.enter_context(part.descriptor.use())
                    break
            yield part, fd

    def _sync(self, part: _Part, fd: int, end: int) -> None:
        try:
            with translated(OUTBOX, Subject.VOLUME):
                os.fdatasync(fd)
        except PenstockError:
            # Later syncs would not tell that something before them was lost, so nothing follows it there.
            self._succeed(part)
            raise
        self._durable[part.name] = max(self._durable.get(part.name, 0), end)
        if end >= _PART_BYTES:
            self._succeed(part)

    def _succeed(self, part: _Part) -> None:
        """Write no more to a part, and make a successor unless there is one, or no room for it."""
        with self._lock, suppress(OSError):
            self._ended = part.name
            names = self._names()
            if names and names[-1] == part.name:
                self._begin(names)

    def _current(self) -> _Part:
        """The part to write to. Raises OSError if there is none, and no room for one."""
        part = self._newest
        if part is None or part.name == self._ended or not self._is_fresh():
            with self._lock:
                part = self._find()
        return part

    def _is_fresh(self) -> bool:
        """Whether no part was made or removed since the newest one was found."""
        return self._changed_ns == os.fstat(self._directory).st_mtime_ns

    def _leave_former(self) -> None:
        """Begin a successor of a newest part that nobody who lives writes to."""
        names = self._names()
        if not names:
            return
        with suppress(FileNotFoundError), opened(os.open(names[-1], _READ, dir_fd=self._directory)) as fd:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return
            self._begin(names)
            if os.fstat(fd).st_size == 0:
                os.unlink(names[-1], dir_fd=self._directory)

    def _find(self) -> _Part:
        refused = self._ended
        while True:
            changed_ns, now_ns = os.fstat(self._directory).st_mtime_ns, time.time_ns()
            names = self._names()
            if not names or names[-1] == refused:
                self._begin(names)
            elif (part := self._taken(names[-1])) is not None:
                # What is changed within the same tick of the kernel's clock does not show.
                self._changed_ns = changed_ns if now_ns - changed_ns > _TICK_NS else 0
                # Of a copy: others add to it meanwhile.
                self._durable = {name: end for name, end in self._durable.copy().items() if name in names}
                return part
            else:
                refused = names[-1]

    def _begin(self, names: Sequence[str]) -> None:
        """Make a successor of all parts there are."""
        if len(names) >= _PARTS:
            raise OSError(errno.ENOSPC, "too much waits to be read")
        number = int(names[-1].partition("-")[0]) + 1 if names else 1
        name = f"{number:012}-{secrets.token_hex(4)}"
        os.close(os.open(name, _APPEND | os.O_CREAT | os.O_EXCL, _MODE, dir_fd=self._directory))
        self._changed_ns = 0

    def _taken(self, name: str) -> _Part | None:
        """A part as the one to write to; None if it is full, has gone, or is just being removed."""
        if self._newest is not None and self._newest.name == name:
            return self._newest
        try:
            part = _Part(name, SharedDescriptor(os.open(name, _APPEND, dir_fd=self._directory)))
        except FileNotFoundError:
            return None
        try:
            with part.descriptor.use() as fd:
                fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
                is_full = os.fstat(fd).st_size >= _PART_BYTES
            os.stat(name, dir_fd=self._directory, follow_symlinks=False)
        except (BlockingIOError, FileNotFoundError):
            is_full = True
        if is_full:
            part.descriptor.close()
            return None
        if self._newest is not None:
            self._newest.descriptor.close()
        self._newest = part
        return part

    # --- reading --------------------------------------------------------------------------------------

    def mark(self) -> Mark | None:
        """What tells whether anything was written since the same was told; None: it cannot be told at once."""
        newest = self._newest
        # Where XFS has shut down not even what is open can be looked at; who asks for parts then is told so.
        with suppress(BackendUnavailableError, OSError):
            if newest is not None and self._is_fresh():
                with newest.descriptor.use() as fd:
                    return newest.name, os.fstat(fd).st_size
        return None

    def parts(self) -> Sequence[Mark]:
        """The parts there are, the oldest first, each with its size in bytes."""
        with translated(OUTBOX, Subject.VOLUME), self._lock:
            with suppress(OSError):  # there is no room for one to write to
                self._find()
            sizes = [(name, self._size(name)) for name in self._names()]
            return [(name, size) for name, size in sizes if size is not None]

    def _size(self, name: str) -> int | None:
        with suppress(FileNotFoundError):
            return os.stat(name, dir_fd=self._directory, follow_symlinks=False).st_size
        return None

    def read(self, part: str, offset: int) -> Sequence[Written]:
        """Durable entries of a part from an offset on, some of them; none: there are no more, or it has gone."""
        with translated(OUTBOX, Subject.VOLUME):
            try:
                fd = os.open(part, _READ, dir_fd=self._directory)
            except FileNotFoundError:
                return ()
            with opened(fd):
                size = os.fstat(fd).st_size
                if self._durable.get(part, 0) < size:
                    os.fdatasync(fd)  # who has written it may still wait for that
                    self._durable[part] = size
                return _entries(fd, offset, size)

    def drop(self, part: str, offset: int) -> bool:
        """Remove a part that was read up to an offset; False if it may get more, or has more."""
        with translated(OUTBOX, Subject.VOLUME), self._lock:
            if part in self._names()[-1:]:
                return False
            with suppress(FileNotFoundError), opened(os.open(part, _READ, dir_fd=self._directory)) as fd:
                try:
                    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    return False
                if _entries(fd, offset, os.fstat(fd).st_size):
                    return False
                os.unlink(part, dir_fd=self._directory)
        return True

    def _names(self) -> list[str]:
        return sorted(name for name in os.listdir(self._directory) if _NAME.fullmatch(name))


def _places(part: str, start: int, end: int, taken: Sequence[bytes]) -> list[Place | None]:
    """Where entries are that were written one behind the other; what was torn is no entry."""
    places: list[Place | None] = []
    for entry in taken:
        place = Place(part, start, start + len(entry))
        places.append(place if entry and place.end <= end else None)
        start = place.end
    return places


def _entries(fd: int, offset: int, end: int) -> list[Written]:
    """Entries between two offsets: those that are read at once; if there is none in that, all."""
    left = max(end - offset, 0)
    for count in (min(left, _READ_BYTES), left):
        data = os.pread(fd, count, offset)
        entries = [Written(entry[1:], offset + at, entry[:1] == _AGAIN) for entry, at in found(data)]
        if entries:
            return entries
    return []
