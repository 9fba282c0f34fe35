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
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from backends.contract import Tell
from backends.mounted import digests
from backends.mounted.area import ARRIVING, Area
from backends.mounted.beneath import Beneath, opened, readable
from backends.mounted.changes import Change
from backends.mounted.durable import make_parents, start_writeback, write_out
from backends.mounted.errors import translated
from backends.mounted.names import DIRECTORY_MODE, parent_of
from backends.mounted.outbox_parts import OutboxParts
from backends.mounted.staging import FILE_MODE, check_room, exists, write
from backends.powers import Arrival, WholeUpload
from domain.errors import StorageFullError, Subject
from domain.paths import RelativePath

_NAME_BYTES: Final = 255
_MAKE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_LOOK: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
#: Something is there, or the place is no part of the same file system, or hard links are not for it.
_NOT_THIS_WAY: Final = (errno.EEXIST, errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP)
#: How old a file is before somebody else looks at it, in seconds: between its making and its lock it has none.
_LEAST_SECONDS: Final = 1.0


class Arrivals:
    """Files on their way to their places on one mounted volume."""

    def __init__(self, area: Area, parts: OutboxParts) -> None:
        self._area = area
        self._parts = parts
        self._directory = -1

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
        if len(name) > _NAME_BYTES or time.monotonic() > upload.until:
            return False
        with translated(upload.session, Subject.UPLOAD):
            check_room(root, len(upload.data))
            with opened(os.open(name, _MAKE, FILE_MODE, dir_fd=self._directory)) as fd:
                is_placed = False
                try:
                    self._fill(fd, upload)
                    yield None
                    write_out(fd)
                    yield None
                    # Who stages it looks for this file behind that, so one of the two sees the other.
                    is_elsewhere = upload.begun and exists(root, upload.session)
                    is_placed = not is_elsewhere and self._link(root, name, upload.destination)
                finally:
                    if not is_placed:
                        os.unlink(name, dir_fd=self._directory)
                if is_placed:
                    tell.place = yield tell.words(None)
                    if tell.place is None:
                        # It is there. Who looks for such files tells of it as soon as that can be written down.
                        raise StorageFullError("there is no room to tell of it", subject=Subject.UPLOAD)
                    os.unlink(name, dir_fd=self._directory)
        return is_placed

    def _fill(self, fd: int, upload: WholeUpload) -> None:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        write(fd, [upload.data], 0)
        if upload.sha256 is not None:
            digests.keep(self._area.mount, fd, upload.sha256)
        start_writeback(fd, 0, len(upload.data))

    def _link(self, root: Beneath, name: str, destination: RelativePath) -> bool:
        """Give a file its name; False if that has to be done another way."""
        with translated(destination):
            try:
                return self._linked(root, name, destination)
            except FileNotFoundError:
                make_parents(root, destination, DIRECTORY_MODE)
                return self._linked(root, name, destination)

    def _linked(self, root: Beneath, name: str, destination: RelativePath) -> bool:
        with parent_of(root, destination) as (target, last):
            try:
                os.link(name, last, src_dir_fd=self._directory, dst_dir_fd=target, follow_symlinks=False)
            except OSError as error:
                if error.errno in _NOT_THIS_WAY:
                    return False
                raise
        return True

    def arriving(self) -> list[str]:
        """Uploads that have a file here."""
        with translated(ARRIVING, Subject.VOLUME):
            return [_session_of(name) for name in os.listdir(self._directory)]

    def recover(self, session: str, words: Callable[[Arrival], bytes]) -> bool:
        """Tell of a file nobody is at any more; False if somebody is, or it cannot be told now."""
        with translated(ARRIVING, Subject.VOLUME):
            names = [name for name in os.listdir(self._directory) if _session_of(name) == session]
            done = [self._recover(name, words) for name in names]
        return all(done)

    def _recover(self, name: str, words: Callable[[Arrival], bytes]) -> bool:
        with suppress(FileNotFoundError), opened(os.open(name, _LOOK, dir_fd=self._directory)) as fd:
            if abs(time.time() - os.fstat(fd).st_mtime) < _LEAST_SECONDS:
                return False
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            os.stat(name, dir_fd=self._directory, follow_symlinks=False)  # nobody else was quicker
            told = words(self._arrival(fd, name)) if os.fstat(fd).st_nlink > 1 else b""
            if told and not self._parts.put(told, again=True):
                return False
            os.unlink(name, dir_fd=self._directory)
        return True

    def _arrival(self, fd: int, name: str) -> Arrival:
        known = os.fstat(fd)
        sha256 = digests.kept(self._area.mount, fd)
        return Arrival(_session_of(name), _note(name.partition(".")[2]), known.st_size, sha256, known.st_mtime)


def _session_of(name: str) -> str:
    return name.partition(".")[0]


def _text(note: bytes) -> str:
    return base64.urlsafe_b64encode(note).rstrip(b"=").decode()


def _note(text: str) -> bytes:
    """What was noted; empty if it is no such text."""
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        return b""
