"""Small files of which all bytes are there: made, made durable and told of in one go.

    .penstock/arriving/<session>.<note, base64url>

A file gets its bytes here, then a second name at its destination (a hard link), then its entry in the outbox, whose
sync has both names durable; then it loses this name. So a file that still has it was not told of, or nobody heard
of that: who puts it there holds a lock of it (`flock`) all the while, and when that is free, whoever comes by tells
of it, or removes it if it never got to its place. Its bytes are on their way to the disk before the second name is,
so not even a power failure leaves a name without them. Blocking.
"""

from __future__ import annotations

import base64
import errno
import fcntl
import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from backends.contract import Tell
from backends.mounted import digests
from backends.mounted.area import ARRIVING, Area
from backends.mounted.beneath import Beneath, opened, readable
from backends.mounted.changes import Change
from backends.mounted.durable import start_writeback, write_out
from backends.mounted.errors import translated
from backends.mounted.names import in_directory
from backends.mounted.outbox_parts import OutboxParts
from backends.mounted.staging import FILE_MODE, check_room, exists, write
from backends.powers import Arrival, Recovered, WholeUpload
from domain.errors import BackendUnavailableError, PenstockError, StorageFullError, Subject
from domain.outbox import Place
from domain.paths import RelativePath

_NAME_BYTES: Final = 255
_MAKE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_BAR: Final = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
_LOOK: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
#: Something is there, or the place is no part of the same file system, or hard links are not for it.
_NOT_THIS_WAY: Final = (errno.EEXIST, errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP)
#: How old a file is before somebody else looks at it, in seconds: between its making and its lock it has none. And
#: how long a bar stands at least.
_LEAST_SECONDS: Final = 1.0


class Arrivals:
    """Files on their way to their places on one mounted volume."""

    def __init__(self, area: Area, parts: OutboxParts) -> None:
        self._area = area
        self._parts = parts
        self._directory = -1
        #: When bars were taken away last, in monotonic seconds.
        self._lifted = time.monotonic()

    def open(self) -> None:
        """Have the directory at hand in which files arrive. Repeat-safe."""
        if self._directory < 0:
            with translated(ARRIVING, Subject.VOLUME), self._area.place(ARRIVING) as place:
                self._directory = readable(place.fd)

    def close(self) -> None:
        """Give it back."""
        if self._directory >= 0:
            os.close(self._directory)
        self._directory = -1

    def place(self, root: Beneath, upload: WholeUpload, tell: Tell[None]) -> Change[bool]:
        """Put a file at its place and tell of it; False if it cannot be done this way."""
        name = f"{upload.session}.{_text(upload.note)}"
        if len(name) > _NAME_BYTES:
            return False
        with translated(upload.session, Subject.UPLOAD):
            check_room(root, len(upload.data))
            with opened(os.open(name, _MAKE, FILE_MODE, dir_fd=self._directory)) as fd:
                if not _locked(fd):
                    return False
                is_placed = False
                try:
                    self._fill(fd, upload)
                    yield None
                    write_out(fd)
                    yield None
                    is_placed = self._is_wanted(root, upload) and self._link(root, name, upload.destination)
                finally:
                    if not is_placed:
                        with suppress(FileNotFoundError):
                            os.unlink(name, dir_fd=self._directory)
                if is_placed:
                    tell.place = yield from self._told(tell)
                    os.unlink(name, dir_fd=self._directory)
        return is_placed

    @staticmethod
    def _told(tell: Tell[None]) -> Change[Place]:
        """Tell of a file that is at its place; if that fails, who looks for such files tells of it later."""
        try:
            place = yield tell.words(None)
        except PenstockError as error:
            raise BackendUnavailableError("it may be at its place", subject=Subject.UPLOAD) from error
        if place is None:
            raise StorageFullError("there is no room to tell of it", subject=Subject.UPLOAD)
        return place

    def bar(self, session: str) -> None:
        """Have nobody put a begun upload at its place who has begun to; for a second at least."""
        with translated(session, Subject.UPLOAD):
            while not self._barred(session):
                pass  # somebody has just taken an old one away
            if time.monotonic() - self._lifted >= _LEAST_SECONDS:
                self._lift_old(self._names())

    def _barred(self, session: str) -> bool:
        with opened(os.open(_bar(session), _BAR, FILE_MODE, dir_fd=self._directory)) as fd:
            fcntl.flock(fd, fcntl.LOCK_EX)
            os.utime(fd)
            return os.fstat(fd).st_nlink > 0

    def _is_wanted(self, root: Beneath, upload: WholeUpload) -> bool:
        """Whether nobody else has an upload of which a file is here.

        Who makes a staging of it looks for that file behind that, so one of the two sees the other. There is a bar
        before the staging goes.
        """
        if upload.claim is None:
            return True
        return not (exists(root, upload.session) or self._is_barred(upload.session)) and upload.claim()

    def _is_barred(self, session: str) -> bool:
        with suppress(FileNotFoundError):
            os.stat(_bar(session), dir_fd=self._directory, follow_symlinks=False)
            return True
        return False

    def _fill(self, fd: int, upload: WholeUpload) -> None:
        write(fd, [upload.data], 0)
        if upload.sha256 is not None:
            digests.keep(self._area.mount, fd, upload.sha256)
        start_writeback(fd, 0, len(upload.data))

    def _link(self, root: Beneath, name: str, destination: RelativePath) -> bool:
        """Give a file its name; False if that has to be done another way."""

        def link(target: int) -> bool:
            try:
                os.link(
                    name, destination.name, src_dir_fd=self._directory, dst_dir_fd=target, follow_symlinks=False
                )
            except OSError as error:
                if error.errno in _NOT_THIS_WAY:
                    return False
                raise
            return True

        with translated(destination):
            return in_directory(root, destination, link)

    def arriving(self) -> list[str]:
        """Uploads that have a file here."""
        with translated(ARRIVING, Subject.VOLUME):
            return _sessions_of(self._names())

    def _names(self) -> list[str]:
        # By a descriptor of its own: those who share one share its position, and miss what others have read.
        with opened(readable(self._directory)) as fd:
            return os.listdir(fd)

    def recover(self, session: str, words: Callable[[Arrival], bytes]) -> Recovered:
        """Tell of a file nobody is at any more."""
        with translated(ARRIVING, Subject.VOLUME):
            names = [name for name in self._names() if _session_of(name) == session and not _is_bar(name)]
            return max((self._recover(name, words) for name in names), default=Recovered.NOTHING)

    def _recover(self, name: str, words: Callable[[Arrival], bytes]) -> Recovered:
        with suppress(FileNotFoundError), opened(os.open(name, _LOOK, dir_fd=self._directory)) as fd:
            if not _is_old(fd):
                return Recovered.BUSY
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return Recovered.BUSY
            if not os.path.samestat(os.stat(name, dir_fd=self._directory, follow_symlinks=False), os.fstat(fd)):
                return Recovered.BUSY  # somebody was quicker, and somebody else has begun anew
            told = words(self._arrival(fd, name)) if os.fstat(fd).st_nlink > 1 else b""
            if told and not self._parts.put(told, again=True):
                return Recovered.UNTOLD
            os.unlink(name, dir_fd=self._directory)
            return Recovered.ENDED
        return Recovered.NOTHING

    def lift(self) -> list[str]:
        """Take away bars that have stood for long enough: nobody relies any more on what was so before.

        Returns uploads that have a file here, as `arriving`.
        """
        with translated(ARRIVING, Subject.VOLUME):
            names = self._names()
            self._lift_old(names)
            return _sessions_of(names)

    def _lift_old(self, names: Sequence[str]) -> None:
        self._lifted = time.monotonic()
        # Whoever has a file here may not have looked yet.
        for bar in set(filter(_is_bar, names)).difference(map(_bar, _sessions_of(names))):
            self._lift(bar)

    def _lift(self, bar: str) -> None:
        with (
            suppress(FileNotFoundError, BlockingIOError),
            opened(os.open(bar, _LOOK, dir_fd=self._directory)) as fd,
        ):
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_old(fd) and os.fstat(fd).st_nlink:
                os.unlink(bar, dir_fd=self._directory)

    def _arrival(self, fd: int, name: str) -> Arrival:
        known = os.fstat(fd)
        sha256 = digests.kept(self._area.mount, fd)
        return Arrival(_session_of(name), _note(name.partition(".")[2]), known.st_size, sha256, known.st_mtime)


def _session_of(name: str) -> str:
    return name.partition(".")[0]


def _sessions_of(names: Sequence[str]) -> list[str]:
    """Uploads whose files have these names, bars left out."""
    return [_session_of(name) for name in names if not _is_bar(name)]


def _bar(session: str) -> str:
    """Name of a file that says that an upload is not to be put at its place."""
    return f"{session}."


def _is_bar(name: str) -> bool:
    return name == _bar(_session_of(name))


def _locked(fd: int) -> bool:
    """Lock a file that was just made; False if somebody took it for one of a process that died."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return os.fstat(fd).st_nlink == 1


def _is_old(fd: int) -> bool:
    return abs(time.time() - os.fstat(fd).st_mtime) >= _LEAST_SECONDS


def _text(note: bytes) -> str:
    return base64.urlsafe_b64encode(note).rstrip(b"=").decode()


def _note(text: str) -> bytes:
    """What was noted; empty if it is no such text."""
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        return b""
