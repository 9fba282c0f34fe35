"""Copying all a folder holds to a place of its own, on the same mount or another one.

Kept are permissions, owners where we may set them, times, extended attributes, links as links, hard links as hard
links, and holes. Bytes are shared where the file system can (reflinks), copied inside the kernel otherwise.

What was copied is its own checkpoint: a file counts as copied if it has the length and the time of the one it is
copied from, and its time is set last. One that does not is taken away and made anew, never written into: so what a
writer that should have stopped still writes, nobody ever sees.

A power failure may leave a file's length and time, and nothing of its bytes. So a large file is durable before it
has its time; small ones count only where this host alone has copied, since its last start.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Collection, Generator, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import anyio

from backends.mounted.beneath import Beneath, opened
from backends.mounted.copiers import Batch, Copied, Copiers
from backends.mounted.copy_place import CopyPlace
from backends.mounted.durable import sync_file_system
from backends.mounted.errors import conflict, translated
from backends.mounted.helping.extents import copy_range, share_all
from backends.mounted.helping.plain import READ, PlainFile, copy_attributes, copy_plain, give, plain
from backends.threads import VolumeThreads
from domain.errors import Subject
from domain.paths import ROOT, STAGING_NAME, RelativePath

#: Entries and bytes one step deals with; bounds how long a thread is taken, and how late a cancellation is seen.
_STEP_ENTRIES: Final = 500
_STEP_BYTES: Final = 256 << 20
#: Entries after which other processes are started to help, and entries one step then deals with.
_WORTH_IT: Final = 400
_SHARED_ENTRIES: Final = 4000
_HASH_BYTES: Final = 4 << 20
#: Length from which on a file is made durable by itself.
_LARGE_BYTES: Final = 16 << 20
#: How often a file is copied again that was changed meanwhile.
_TRIES: Final = 3
_TOLD: Final = 20
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_VANISHED: Final = (errno.ENOENT, errno.ENOTDIR, errno.ESTALE)


class MountedTree:
    """All a folder of a mounted volume holds."""

    def __init__(self, root: Beneath) -> None:
        self.root = root
        self._open = True

    async def close(self) -> None:
        """Give it back. Repeat-safe; closing waits for nothing."""
        if self._open:
            self._open = False
            self.root.close()


@dataclass(slots=True)
class _Directory:
    """A directory whose own attributes are set when all it holds is there."""

    path: RelativePath
    known: os.stat_result


class MountedTreeCopy:
    """One attempt to copy a tree. Blocking work happens on the threads of the volume it is copied to.

    Args:
        target: where to, as a path from `mount`'s root. Nobody else changes anything there.
        trusted: whether small files that are there already are surely what was written to them.
    """

    def __init__(
        self,
        source: MountedTree,
        mount: Beneath,
        target: str,
        threads: VolumeThreads,
        *,
        verify: bool = False,
        resumed: bool = False,
        trusted: bool = True,
        shares: bool = False,
    ) -> None:
        self.resumed = resumed
        self.shares = shares
        self._source = source.root
        self._place = CopyPlace(mount, target)
        self._threads = threads
        self._verify = verify
        self._trusted = trusted
        self._entries: Generator[bool] = self._walk()
        self._directories: list[_Directory] = []
        #: Where a file with several names was copied to, by device and inode.
        self._linked: dict[tuple[int, int], str] = {}
        self._stepped_bytes = 0
        self._copiers: Copiers | None = None
        #: Small files of directories walked through, that others are to copy.
        self._batches: list[Batch] = []
        self.items = 0
        self.size_bytes = 0
        self.changed: Sequence[str] = ()

    async def step(self) -> bool:
        """Copy some more; True when all is there, durably."""
        if self._copiers is None and self.items >= _WORTH_IT and self._threads.helpers > 1:
            self._copiers = self._open_copiers()
        walked = await self._threads.run(self._step)
        await self._copy_batches()
        if walked and self._copiers is not None:
            await self._threads.run(self._finish)
        return walked

    async def close(self) -> None:
        """Give it back."""
        self._entries.close()
        if self._copiers is not None:
            with anyio.CancelScope(shield=True):
                await self._copiers.close()

    def _open_copiers(self) -> Copiers:
        timeout = self._threads.timeout_seconds
        return Copiers(
            self._threads.helpers, self._source, self._place.mount, shares=self.shares, timeout_seconds=timeout
        )

    def _step(self) -> bool:
        """Walk on; True at the end. Small files are copied by others, if there are any, and it is not over yet."""
        with translated("copying", Subject.VFOLDER):
            self._stepped_bytes = 0
            for _ in range(_STEP_ENTRIES if self._copiers is None else _SHARED_ENTRIES):
                if next(self._entries, None) is None:
                    if self._copiers is None:
                        self._finish()
                    return True
                if self._stepped_bytes >= _STEP_BYTES:
                    break
        return False

    async def _copy_batches(self) -> None:
        batches = [batch for batch in self._batches if batch.files]
        # The last directory may not be at its end: what comes of it next is another batch.
        self._batches = self._batches[-1:]
        if self._copiers is None or not batches:
            return
        found = await self._copiers.copy([batch._replace(files=list(batch.files)) for batch in batches])
        for batch in batches:
            batch.files.clear()
        for copied in found:
            self._count(copied.files, copied.size_bytes)
            if copied.rest:
                await self._threads.run(self._copy_rest, copied)

    def _copy_rest(self, copied: Copied) -> None:
        """Copy with more care what others could not."""
        with translated("copying", Subject.VFOLDER):
            if copied.errno and copied.errno not in _VANISHED:
                raise OSError(copied.errno, os.strerror(copied.errno))
            with opened(self._source.open(copied.path, _DIRECTORY)) as directory:
                for name in copied.rest:
                    with suppress(FileNotFoundError):
                        known = os.stat(name, dir_fd=directory, follow_symlinks=False)
                        for _ in self._entry(directory, name, RelativePath((*copied.path.parts, name)), known):
                            pass

    def _walk(self) -> Generator[bool]:
        """Copy entry by entry; a big file comes up several times."""
        todo = [ROOT]
        while todo:
            path = todo.pop()
            try:
                fd = self._source.open(path, _DIRECTORY)
            except OSError as error:
                if path.is_root or error.errno not in (*_VANISHED, errno.ELOOP):
                    raise
                continue
            with opened(fd):
                names = sorted(name for name in os.listdir(fd) if not (path.is_root and name == STAGING_NAME))
                is_new = self._directory(path, os.fstat(fd), names)
                place, plain_files = self._place.of(path), list[PlainFile]()
                self._batches.append(Batch(path, place, plain_files))
                for name in names:
                    try:
                        known = os.stat(name, dir_fd=fd, follow_symlinks=False)
                    except FileNotFoundError:
                        continue
                    if stat.S_ISDIR(known.st_mode):
                        todo.append(RelativePath((*path.parts, name)))
                    elif not (is_new and self._copy_plainly(fd, place, plain(name, known), plain_files)):
                        yield from self._entry(fd, name, RelativePath((*path.parts, name)), known)
                    yield True

    def _copy_plainly(self, directory: int, place: str, file: PlainFile | None, others: list[PlainFile]) -> bool:
        """Copy a small file of which nothing is there yet, or have others do it; False: it takes more care."""
        if file is None or self._verify:
            return False
        if self._copiers is not None:
            others.append(file)
        elif copy_plain(directory, file, self._place.fd, f"{place}/{file.name}", shares=self.shares):
            self._count(1, file.size_bytes)
        else:
            return False
        self._stepped_bytes += file.size_bytes
        return True

    def _count(self, items: int, size_bytes: int) -> None:
        self.items += items
        self.size_bytes += size_bytes

    def _entry(self, directory: int, name: str, path: RelativePath, known: os.stat_result) -> Iterator[bool]:
        """Copy one entry that is no directory."""
        with translated(path):
            try:
                if stat.S_ISLNK(known.st_mode):
                    self._place.link(self._place.of(path), os.readlink(name, dir_fd=directory), known)
                elif stat.S_ISREG(known.st_mode):
                    yield from self._file(directory, name, path, known)
            except FileNotFoundError:
                # It vanished from the source; but if our own place is gone, this is not ours any more.
                self._place.must_be_there()
                return
        self.items += 1

    def _directory(self, path: RelativePath, known: os.stat_result, names: Collection[str]) -> bool:
        """Make a directory; tells whether it is new, so that nothing can be in it."""
        is_new = self._place.make_directory(path, names)
        self._directories.append(_Directory(path, known))
        self.items += 0 if path.is_root else 1
        return is_new

    def _file(self, directory: int, name: str, path: RelativePath, known: os.stat_result) -> Iterator[bool]:
        place = self._place.of(path)
        key = (known.st_dev, known.st_ino)
        first = self._linked.get(key) if known.st_nlink > 1 else None
        if first is not None and self._place.add_name(first, place):
            return
        if known.st_nlink > 1:
            self._linked[key] = place
        if self._is_copied(place, known):
            self.size_bytes += known.st_size
            return
        with opened(os.open(name, READ, dir_fd=directory)) as source:
            for _ in range(_TRIES):
                known = os.fstat(source)
                yield from self._copy(source, place, known)
                if _stamp(os.fstat(source)) == _stamp(known):
                    return
                self._place.clear(place)
            # It never stands still: what is there now is kept as it was read, and told.
            yield from self._copy(source, place, known)
            self.changed = (*self.changed, str(path))[:_TOLD]

    def _is_copied(self, place: str, known: os.stat_result) -> bool:
        if not self._trusted and known.st_size < _LARGE_BYTES:
            return False
        try:
            there = self._place.look(place)
        except FileNotFoundError:
            return False
        return stat.S_ISREG(there.st_mode) and _stamp(there) == _stamp(known)

    def _copy(self, source: int, place: str, known: os.stat_result) -> Iterator[bool]:
        """Copy a file's bytes and all that is known of it, its times last."""
        self._place.clear(place)
        with opened(self._place.new_file(place)) as target:
            before = self.size_bytes
            shared = share_all(source, target)
            if not shared:
                yield from self._copy_extents(source, target, known.st_size)
            self.size_bytes = before + known.st_size
            if self._verify and _sha256(source) != _sha256(target) and _stamp(os.fstat(source)) == _stamp(known):
                raise conflict("damaged", self._place.within(place))
            copy_attributes(source, target)
            give(target, known.st_uid, known.st_gid, known.st_mode)
            if known.st_size >= _LARGE_BYTES and not (shared and self._place.mount.mounted.keeps_order):
                os.fsync(target)
            os.utime(target, ns=(known.st_atime_ns, known.st_mtime_ns))

    def _copy_extents(self, source: int, target: int, length: int) -> Iterator[bool]:
        """Copy what a file holds, and leave its holes alone."""
        os.ftruncate(target, length)
        offset = 0
        while offset < length:
            start, end = _extent(source, offset, length)
            while start < end:
                copied = copy_range(source, target, start, start, end - start)
                if not copied:
                    return  # it became shorter; the caller looks again
                start += copied
                self.size_bytes += copied
                self._stepped_bytes += copied
                if self._stepped_bytes >= _STEP_BYTES:
                    yield True
            offset = max(end, offset + 1)

    def _finish(self) -> None:
        """Give directories their attributes, the deepest first, and make all of it durable."""
        for directory in reversed(self._directories):
            place = self._place.of(directory.path)
            with opened(self._place.open_directory(place)) as fd:
                with suppress(OSError), opened(self._source.open(directory.path, _DIRECTORY)) as source:
                    copy_attributes(source, fd)
                give(fd, directory.known.st_uid, directory.known.st_gid, directory.known.st_mode)
                os.utime(fd, ns=(directory.known.st_atime_ns, directory.known.st_mtime_ns))
                if directory.path.is_root:
                    sync_file_system(fd)


def shares_bytes(source: Beneath, mount: Beneath, target: str) -> bool:
    """Whether files copied from one directory to another share their bytes, found out by trying."""
    with opened(os.open(target, _DIRECTORY, dir_fd=mount.fd)) as place:
        if os.fstat(source.fd).st_dev != os.fstat(place).st_dev:
            return False
        try:
            flags = os.O_RDWR | os.O_TMPFILE
            with (
                opened(os.open(".", flags, dir_fd=place)) as one,
                opened(os.open(".", flags, dir_fd=place)) as other,
            ):
                return share_all(one, other)
        except OSError:
            return False  # there are no files without a name here, as on NFS


def _stamp(known: os.stat_result) -> tuple[int, int]:
    return known.st_size, known.st_mtime_ns


def _extent(fd: int, offset: int, length: int) -> tuple[int, int]:
    """The next part of a file that is no hole, at or behind an offset."""
    try:
        start = os.lseek(fd, offset, os.SEEK_DATA)
        return start, min(os.lseek(fd, start, os.SEEK_HOLE), length)
    except OSError as error:
        if error.errno == errno.ENXIO:
            return length, length
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    return offset, length


def _sha256(fd: int) -> bytes:
    digest, offset = hashlib.sha256(), 0
    while data := os.pread(fd, _HASH_BYTES, offset):
        digest.update(data)
        offset += len(data)
    return digest.digest()
