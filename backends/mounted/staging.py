"""Blocking operations on unfinished uploads of one folder: files `.upload/<session>` in it.

The size of a staging file is the upload's offset: only whole, in-order writes extend it, so what it holds is
exactly what was sent, whenever the writing process died; `lasting` says how much of it counts after a power
failure. Where other hosts have the volume as well, every write waits until the storage has it
(`MountedAs.write_unit`): a host that is cut off leaves no gap, and what it still has in memory is at most the
one piece it was writing, not something to overwrite what others have written since.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Final, NamedTuple

from backends.buffers import IOV_MAX, Piece, behind
from backends.contract import Committed, FileStat, Synced
from backends.descriptor import SharedDescriptor
from backends.mounted import digests, lasting
from backends.mounted.beneath import Beneath, names_in, opened, stale_as_gone
from backends.mounted.durable import sync_between, sync_names_left
from backends.mounted.errors import conflict, missing, translated
from backends.mounted.names import DIRECTORY_MODE, MAX_RACES, file_stat, in_directory, parent_of
from backends.powers import StagedUpload
from domain.errors import BackendUnavailableError, InvalidRequestError, StorageFullError, Subject
from domain.paths import STAGING_NAME, RelativePath

FILE_MODE: Final = 0o644
#: Extended attribute that says whose upload a staging file is; taken off when it becomes a file of the user's.
_NOTE: Final = "user.penstock.upload"
READING: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_SESSION_CHARACTERS: Final = frozenset("0123456789abcdef")
#: Digits by which the name of what comes with an upload is longer than that of the upload.
_PART_DIGITS: Final = 32


def create(root: Beneath, session: str, length: int | None, note: bytes) -> None:
    """Make an empty staging file; one that is there already stays."""

    def begin(area: Beneath) -> None:
        with _created(area, session) as fd:
            keep_note(fd, note)
            if area.mounted.write_unit is None:
                lasting.begin(fd)

    with translated(session, Subject.UPLOAD):
        try:
            check_room(root, length)
        except StorageFullError:
            if not exists(root, session):  # what is stored of it needs no room any more
                raise
        in_area(root, begin)


def create_whole(root: Beneath, session: str, data: bytes, destination: RelativePath) -> Synced:
    """Make a staging file of all bytes of an upload, durable; none if it could not be put at its destination."""
    replaced = _standing(root, destination)

    def begin(area: Beneath) -> None:
        with _created(area, session) as fd:
            write(fd, [data], 0, area.mounted.write_unit)
            os.fsync(fd)
        sync_between(root, area.fd)

    with translated(session, Subject.UPLOAD):
        check_room(root, len(data))
        try:
            in_area(root, begin)
            sync_between(root, root.fd)
        except OSError:
            discard(root, session)
            raise
    return Synced(len(data), replaced)


def _created(area: Beneath, session: str) -> AbstractContextManager[int]:
    return opened(os.open(_name(session), _append_flags(area) | os.O_CREAT, FILE_MODE, dir_fd=area.fd))


def _append_flags(mount: Beneath) -> int:
    through = 0 if mount.mounted.write_unit is None else os.O_DSYNC
    return os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC | through


def in_area(root: Beneath, put: Callable[[Beneath], None]) -> None:
    """Put something into the staging area, which is made if it is not there; `put` may be called again."""
    for _ in range(MAX_RACES):
        with suppress(FileExistsError):
            os.mkdir(STAGING_NAME, DIRECTORY_MODE, dir_fd=root.fd)
        with suppress(FileNotFoundError):  # the last upload before this one has just taken the area away
            with stale_as_gone(), existing_area(root) as area:
                put(area)
            return
    raise BackendUnavailableError("the staging area keeps vanishing", subject=Subject.UPLOAD)


def existing_area(root: Beneath) -> Beneath:
    """The staging area; close it. Raises FileNotFoundError."""
    return root.below((STAGING_NAME,))


def part_names(session: str, count: int) -> list[str]:
    """New names for what comes with an upload; somebody else may be storing the same at the same time."""
    attempt = f"{_name(session)}{secrets.token_hex(12)}"
    return [f"{attempt}{number:08x}" for number in range(count)]


def keep_note(fd: int, note: bytes) -> None:
    """Keep a note with a staging file, where the file system can: without it only a rare recovery is missing."""
    if not note:
        return
    try:
        os.setxattr(fd, _NOTE, note, os.XATTR_CREATE)
    except OSError as error:
        if error.errno not in (errno.EEXIST, errno.ENOTSUP, errno.EPERM, errno.E2BIG, errno.ENOSPC, errno.ERANGE):
            raise


def note_of(root: Beneath, session: str) -> bytes:
    """The note of a staging file; empty if there is none."""
    with area_of(root, session) as (area, name), opened(os.open(name, READING, dir_fd=area)) as fd:
        return read_note(fd)


def read_note(fd: int) -> bytes:
    """The note of an open staging file; empty if there is none."""
    try:
        return os.getxattr(fd, _NOTE)
    except OSError as error:
        if error.errno not in (errno.ENODATA, errno.ENOTSUP):
            raise
        return b""


def check_room(root: Beneath, length: int | None) -> int:
    """See that the volume could hold so many bytes; tells how many. Raises StorageFullError."""
    room = os.statvfs(root.fd)
    free = room.f_bavail * room.f_frsize
    if length is not None and length > free:
        raise StorageFullError(
            f"the volume has {free} bytes free, {length} are needed",
            subject=Subject.UPLOAD,
            free_bytes=free,
            needed_bytes=length,
        )
    return free


def exists(root: Beneath, session: str) -> bool:
    """Whether there is a staging file."""
    with translated(session, Subject.UPLOAD), suppress(FileNotFoundError):
        os.stat(STAGING_NAME, dir_fd=root.fd, follow_symlinks=False)  # mostly there is none, which is quick
        with existing_area(root) as area:
            os.stat(_name(session), dir_fd=area.fd, follow_symlinks=False)
            return True
    return False


def stagings(root: Beneath) -> list[StagedUpload]:
    """The staging files there are."""
    with translated(STAGING_NAME, Subject.UPLOAD):
        try:
            area = existing_area(root)
        except (FileNotFoundError, NotADirectoryError):
            return []
        with area:
            return [found for name in names_in(area) if (found := _staged(area, name)) is not None]


def _staged(area: Beneath, name: str) -> StagedUpload | None:
    if not _SESSION_CHARACTERS.issuperset(name):
        return None
    with suppress(FileNotFoundError):
        return StagedUpload(name, os.stat(name, dir_fd=area.fd, follow_symlinks=False).st_mtime)
    return None


class Appendable(NamedTuple):
    """A staging file open for appending."""

    descriptor: SharedDescriptor
    size: int
    #: How much of it need not be synced again.
    synced: int


def open_for_append(root: Beneath, session: str) -> Appendable:
    """Open a staging file, and cut off what a power failure has left of bytes that were not synced."""
    with area_of(root, session) as (area, name):
        descriptor = SharedDescriptor(os.open(name, _append_flags(root), dir_fd=area))
        with descriptor.use() as fd:
            return Appendable(descriptor, *lasting.settle(fd))


def open_for_reading(root: Beneath, session: str) -> tuple[SharedDescriptor, FileStat]:
    """Open a staging file for reading."""
    with area_of(root, session) as (area, name):
        descriptor = SharedDescriptor(os.open(name, READING, dir_fd=area))
        with descriptor.use() as fd:
            known = file_stat(os.fstat(fd))
            return descriptor, known._replace(size_bytes=lasting.sound(fd))


def staged_bytes(root: Beneath, session: str) -> int:
    """How many bytes of an upload there are."""
    with area_of(root, session) as (area, name), opened(os.open(name, READING, dir_fd=area)) as fd:
        return lasting.sound(fd)


def write(fd: int, chunks: Sequence[bytes | memoryview], offset: int, unit: int | None = None) -> int:
    """Write all chunks from `offset` on, at most `unit` bytes at once; returns how many bytes were written.

    When the storage is full in the middle, the bytes before that stay and count.
    """
    written = 0
    for batch in _batches([memoryview(chunk) for chunk in chunks], unit or sys.maxsize):
        rest = batch
        while rest:
            count = os.pwritev(fd, rest, offset + written)
            written += count
            rest = behind(rest, count)
    return written


def _batches(views: Sequence[memoryview], unit: int) -> Iterator[list[Piece]]:
    """The same bytes, in lists of so many bytes and of no more buffers than one call takes."""
    batch, room = list[Piece](), unit
    for view in views:
        rest = view
        while len(rest):
            batch.append(rest[:room])
            room -= len(batch[-1])
            rest = rest[len(batch[-1]) :]
            if not room or len(batch) == IOV_MAX:
                yield batch
                batch, room = [], unit
    if batch:
        yield batch


def sync(root: Beneath, session: str, destination: RelativePath) -> Synced:
    """Make a staging file and its name durable."""
    with area_of(root, session) as (area, name):
        with opened(os.open(name, READING, dir_fd=area)) as fd:
            size = lasting.sync(fd)
        sync_between(root, area)
        sync_between(root, root.fd)
    return Synced(size, _standing(root, destination))


def _standing(root: Beneath, destination: RelativePath) -> int | None:
    """Size of what a file would replace at its destination."""
    with translated(destination):
        try:
            with parent_of(root, destination) as (target, _):
                return _replaced(target, destination.name, destination)
        except FileNotFoundError:
            return None


def commit(
    root: Beneath, session: str, destination: RelativePath, mount: Beneath, sha256: bytes | None
) -> Committed:
    """Rename a staging file, which is durable, to its destination, and its digest with it."""
    with area_of(root, session) as (area, name):
        with opened(os.open(name, READING, dir_fd=area)) as fd:
            for attribute in (_NOTE, lasting.ATTRIBUTE):
                _drop(fd, attribute)
            if sha256 is not None:
                digests.keep(mount, fd, sha256)
            size = os.fstat(fd).st_size

        def put(target: int) -> int | None:
            replaced = put_in_place(area, name, target, destination)
            sync_names_left(target)
            return replaced

        with translated(destination):
            replaced = in_directory(root, destination, put)
        drop_area(root)
    return Committed(size, replaced)


def _drop(fd: int, attribute: str) -> None:
    try:
        os.removexattr(fd, attribute)
    except OSError as error:
        if error.errno not in (errno.ENODATA, errno.ENOTSUP):
            raise


def put_in_place(area: int, name: str, target: int, destination: RelativePath) -> int | None:
    """Give a staging file its name in an open directory; tells how many bytes it replaced.

    Raises:
        NotFoundError (subject upload): it has gone: somebody else committed it.
        FileNotFoundError: it is the directory that was removed.
    """
    replaced = _replaced(target, destination.name, destination)
    try:
        with stale_as_gone():
            os.rename(name, destination.name, src_dir_fd=area, dst_dir_fd=target)
    except FileNotFoundError:
        try:
            os.stat(name, dir_fd=area, follow_symlinks=False)
        except FileNotFoundError as error:
            raise missing(name, Subject.UPLOAD) from error
        raise
    return replaced


def _replaced(target: int, name: str, destination: RelativePath) -> int | None:
    try:
        present = os.stat(name, dir_fd=target, follow_symlinks=False)
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(present.st_mode):
        raise conflict("is-a-directory", str(destination))
    return present.st_size if stat.S_ISREG(present.st_mode) else 0


def discard(root: Beneath, session: str) -> None:
    """Remove a staging file and what came with it, if they are there, and the area when they were the last."""
    name = _name(session)
    with translated(session, Subject.UPLOAD):
        try:
            with existing_area(root) as area:
                for found in names_in(area):
                    if found == name or (found.startswith(name) and len(found) == len(name) + _PART_DIGITS):
                        with suppress(FileNotFoundError):
                            os.unlink(found, dir_fd=area.fd)
        except FileNotFoundError:
            return
        drop_area(root)


def drop_area(root: Beneath) -> None:
    """Take the staging area away if it is empty."""
    try:
        os.rmdir(STAGING_NAME, dir_fd=root.fd)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT):
            raise


@contextmanager
def area_of(root: Beneath, session: str) -> Iterator[tuple[int, str]]:
    """The open staging area, and the name of an upload in it. Raises NotFoundError (subject upload)."""
    name = _name(session)
    with translated(session, Subject.UPLOAD), stale_as_gone(), existing_area(root) as area:
        yield area.fd, name


def _name(session: str) -> str:
    if not session or len(session) > 64 or not _SESSION_CHARACTERS.issuperset(session):
        raise InvalidRequestError("not an upload session id", field="session")
    return session
