"""Blocking operations on the names inside one folder."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from typing import Final, TypeVar

from backends.contract import Entry, EntryKind, FileStat, Listing, Tell
from backends.mounted.beneath import Beneath, opened, stale_as_gone
from backends.mounted.changes import Change, settled
from backends.mounted.durable import make_parents, sync_between, sync_directory
from backends.mounted.errors import conflict, translated
from backends.mounted.helping.looking import KIND
from domain.errors import InvalidPathError, PenstockError, Subject
from domain.foreign_names import read_path, sendable
from domain.paths import STAGING_NAME, RelativePath

T = TypeVar("T")

#: Permission bits of directories made on behalf of users.
DIRECTORY_MODE: Final = 0o755

#: What has gone, or is no directory any more, has no names in it.
_NO_NAMES: Final = (FileNotFoundError, NotADirectoryError)

#: Tries to put something into a directory that others remove meanwhile.
MAX_RACES: Final = 16

#: How deep a deletion follows a tree before it cuts it into pieces.
_MAX_DEPTH: Final = 64

#: Makes a named tuple of a plain one, in a third of the time its own constructor takes; listings make very many.
_made: Final = tuple.__new__

_KINDS: Final = {
    stat.S_IFREG: EntryKind.FILE,
    stat.S_IFDIR: EntryKind.DIRECTORY,
    stat.S_IFLNK: EntryKind.SYMLINK,
}


def file_stat(result: os.stat_result) -> FileStat:
    """Keep of a stat what the contract tells."""
    mode = result.st_mode
    return _made(
        FileStat,
        (
            _KINDS.get(mode & KIND, EntryKind.OTHER),
            result.st_size,
            mode,
            result.st_mtime_ns,
            result.st_ctime_ns,
            result.st_ino,
        ),
    )


@contextmanager
def _directory_of(root: Beneath, path: RelativePath) -> Iterator[int]:
    """The directory a name lies in."""
    if path.parent.is_root:
        yield root.fd
        return
    with root.directory(path.parent) as fd:
        yield fd


@contextmanager
def parent_of(root: Beneath, path: RelativePath) -> Iterator[tuple[int, str]]:
    """The directory a name lies in that is to be changed, and the name itself; the name is not looked at.

    Raises:
        InvalidPathError: the folder itself is meant; or links lead to where unfinished uploads are.
    """
    refuse_root(path)
    with _directory_of(root, path) as fd:
        if not path.parent.is_root:
            refuse_staging(root, fd, path)
        yield fd, path.name


def refuse_staging(root: Beneath, fd: int, path: RelativePath) -> None:
    """Refuse a name in an open directory where that is, or the name is of, the place of unfinished uploads."""
    try:
        area = os.stat(STAGING_NAME, dir_fd=root.fd, follow_symlinks=False)
    except FileNotFoundError:
        return
    parent = os.fstat(fd)
    is_area = path.name == STAGING_NAME and os.path.samestat(parent, os.fstat(root.fd))
    if is_area or os.path.samestat(parent, area):
        raise InvalidPathError("reserved for unfinished uploads", subject=Subject.FILE, path=str(path))


def in_directory(root: Beneath, path: RelativePath, put: Callable[[int], T]) -> T:
    """Do something in the directory a name lies in, which is made if it is not there, or was just removed.

    Args:
        put: is given a descriptor of the directory; called again after it has raised FileNotFoundError.

    Raises:
        FileNotFoundError: there is none, and none can be made: a link that leads to nothing is in the way.
    """
    left = MAX_RACES
    while True:
        try:
            with parent_of(root, path) as (fd, _):
                return put(fd)
        except FileNotFoundError:
            left -= 1
            if not left:
                raise
        with suppress(FileNotFoundError):
            make_parents(root, path, DIRECTORY_MODE)


def refuse_root(path: RelativePath) -> None:
    """Refuse the folder itself where a name in it is meant."""
    if path.is_root:
        raise InvalidPathError("the folder itself cannot be changed this way", subject=Subject.FILE, path=".")


def look(root: Beneath, path: RelativePath) -> FileStat:
    """Look at an entry; a link is looked at itself."""
    with translated(path):
        if path.is_root:
            return file_stat(os.fstat(root.fd))
        with _directory_of(root, path) as fd:
            return file_stat(os.stat(path.name, dir_fd=fd, follow_symlinks=False))


def list_directory(root: Beneath, path: RelativePath, limit: int) -> Listing:
    """List a directory, at most `limit` names."""
    with translated(path):
        fd = root.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            with os.scandir(fd) as scan:
                entries = list(_entries(islice(scan, limit), path, fd))
                truncated = next(scan, None) is not None
        finally:
            os.close(fd)
    return Listing(entries, truncated=truncated)


def _entries(found: Iterable[os.DirEntry[str]], directory: RelativePath, fd: int) -> Iterator[Entry]:
    for item in found:
        try:
            known = file_stat(item.stat(follow_symlinks=False))
            target = os.readlink(item.name, dir_fd=fd) if known.kind is EntryKind.SYMLINK else ""
        except FileNotFoundError:
            continue  # vanished while we listed
        yield _made(Entry, (item.name, known, _inside(directory, target) if target else ""))


def _inside(directory: RelativePath, target: str) -> str:
    """Where a link leads, relative to the listed directory; empty if it leads elsewhere."""
    if target.startswith("/"):
        return ""
    try:
        reached = read_path(sendable("/".join((*directory.parts, target))))
    except InvalidPathError:
        return ""
    return "/".join(reached.parts[len(directory.parts) :]) if reached.is_within(directory) else ""


def make_directories(
    root: Beneath,
    paths: Sequence[RelativePath],
    tell: Tell[Sequence[PenstockError | None]] | None,
    *,
    parents: bool,
    exist_ok: bool,
) -> Change[Sequence[PenstockError | None]]:
    """Make directories, and their parents if asked to; tells why which were not made."""
    failures: list[PenstockError | None] = []
    for path in paths:
        try:
            _make_directory(root, path, parents=parents, exist_ok=exist_ok)
        except PenstockError as error:
            failures.append(error)
        else:
            failures.append(None)
    made = [path for path, failure in zip(paths, failures, strict=True) if failure is None]
    yield from settled(tell, failures, lambda: sync_names(root, made))
    return failures


def _make_directory(root: Beneath, path: RelativePath, *, parents: bool, exist_ok: bool) -> None:
    with translated(path):
        if path.is_root:
            if not exist_ok:
                raise conflict("exists", str(path))
            return

        def make(fd: int) -> None:
            try:
                os.mkdir(path.name, DIRECTORY_MODE, dir_fd=fd)
            except FileExistsError:
                # Who made it may be dead, or about to sync it.
                if not (exist_ok and _is_directory(root, path)):
                    raise

        if parents:
            in_directory(root, path, make)
            return
        with parent_of(root, path) as (fd, _):
            make(fd)


def _is_directory(root: Beneath, path: RelativePath) -> bool:
    """Whether a directory is there, or a link to one; whether one lies where a link leads out is not looked at."""
    try:
        os.close(root.open(path, os.O_PATH | os.O_DIRECTORY))
    except _NO_NAMES:
        return False
    return True


def sync_names(root: Beneath, paths: Collection[RelativePath]) -> None:
    """Make durable which names there are in the directories of some paths; one that is gone has none."""
    for directory in {path.parent for path in paths}:
        with translated(directory), suppress(*_NO_NAMES), stale_as_gone(), root.directory(directory) as fd:
            sync_directory(fd)


def settle_names(root: Beneath, paths: Collection[RelativePath], tell: Tell[None] | None) -> Change[None]:
    """Make names durable, as `sync_names`, and tell of them."""
    yield from settled(tell, None, lambda: sync_names(root, paths))


def move(root: Beneath, source: RelativePath, destination: RelativePath, tell: Tell[bool] | None) -> Change[bool]:
    """Rename; tells whether a file was replaced."""
    if source == destination:
        look(root, source)
        yield from settled(tell, False, lambda: None)
        return False
    if destination.is_within(source):
        raise conflict("into-itself", str(destination))
    with translated(source), parent_of(root, source) as (source_fd, source_name):
        moved = os.stat(source_name, dir_fd=source_fd, follow_symlinks=False)
        with translated(destination), parent_of(root, destination) as (target_fd, target_name):
            replaced = _check_target(target_fd, target_name, destination, directory=stat.S_ISDIR(moved.st_mode))
            os.rename(source_name, target_name, src_dir_fd=source_fd, dst_dir_fd=target_fd)
            is_same_place = source_name == target_name and os.path.sameopenfile(source_fd, target_fd)
            if moved.st_nlink > 1 and not stat.S_ISDIR(moved.st_mode) and not is_same_place:
                _drop_other_name(source_fd, source_name, moved)

            def sync() -> None:
                sync_directory(target_fd)
                # Where order is kept, the one rename is there whole.
                sync_between(root, source_fd)

            yield from settled(tell, replaced, sync)
    return replaced


def _drop_other_name(fd: int, name: str, moved: os.stat_result) -> None:
    """Take away the old name of a file where it has the new one already: rename(2) leaves both then."""
    with suppress(FileNotFoundError):
        if os.path.samestat(os.stat(name, dir_fd=fd, follow_symlinks=False), moved):
            os.unlink(name, dir_fd=fd)


def _check_target(fd: int, name: str, path: RelativePath, *, directory: bool) -> bool:
    try:
        present = os.stat(name, dir_fd=fd, follow_symlinks=False)
    except FileNotFoundError:
        return False
    if stat.S_ISDIR(present.st_mode):
        raise conflict("is-a-directory", str(path))
    if directory:
        raise conflict("exists", str(path))
    return True


class Deletion:
    """Removes a tree in steps, so that no single call takes long.

    Works depth first and by descriptors, never following a link; what others put in meanwhile goes as well.
    """

    def __init__(self, path: RelativePath, *, recursive: bool, everything: bool = False) -> None:
        self._path = path
        self._recursive = recursive
        #: Whether emptying a folder takes its unfinished uploads as well.
        self._everything = everything
        self._budget = 0
        self.removed = 0

    def step(self, root: Beneath, budget: int) -> bool:
        """Remove up to `budget` entries; True when nothing is left.

        Raises:
            ConflictError: a directory, and not recursive.
            NotFoundError: not there (any more).
        """
        self._budget = budget
        with translated(self._path):
            if not self._path.is_root:
                with parent_of(root, self._path) as (fd, name):
                    return self._remove(fd, name, top=None, depth=0)
            if not self._recursive:
                raise conflict("is-a-directory", str(self._path))
            with opened(_open_directory(root.fd, ".")) as fd:
                return self._empty(fd, top=fd, depth=0)

    def _remove(self, parent: int, name: str, top: int | None, depth: int) -> bool:
        """Remove one entry with all below it; False when the budget ended first.

        `top` is the directory where too deep ones are hung up; None: the entry is the tree's own root.
        """
        try:
            os.unlink(name, dir_fd=parent)
        except IsADirectoryError:
            if not self._recursive:
                raise conflict("is-a-directory", str(self._path)) from None
        else:
            self._count()
            return True
        if depth >= _MAX_DEPTH and top is not None:
            # Deeper than descriptors and the call stack should follow: hang it up at the top of the tree.
            unique = os.stat(name, dir_fd=parent, follow_symlinks=False).st_ino
            os.rename(name, f".deep-{unique}", src_dir_fd=parent, dst_dir_fd=top)
            return False
        with opened(_open_directory(parent, name)) as fd:
            if not self._empty(fd, fd if top is None else top, depth + 1):
                return False
        try:
            os.rmdir(name, dir_fd=parent)
        except OSError as error:
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
                return False  # somebody put something in; the next step takes it
            raise
        self._count()
        return True

    def _empty(self, fd: int, top: int, depth: int) -> bool:
        """Remove what lies in a directory; False if something is left. Most of it is taken for files."""
        empty, unlink, spares = True, os.unlink, depth == 0 and not self._everything
        files = 0  # of all that is done here besides the call, counting each took the most time
        try:
            with os.scandir(fd) as scan:
                for item in scan:
                    if files >= self._budget:
                        return False
                    name = item.name
                    if spares and name == STAGING_NAME:
                        continue
                    try:
                        unlink(name, dir_fd=fd)
                        files += 1
                    except IsADirectoryError:
                        files = self._count(files)
                        with suppress(FileNotFoundError):
                            empty = self._remove(fd, name, top, depth) and empty
                    except FileNotFoundError:
                        pass
        finally:
            self._count(files)
        return empty

    def _count(self, entries: int = 1) -> int:
        """Count what was removed; returns what is left to be counted."""
        self.removed += entries
        self._budget -= entries
        return 0


def _open_directory(parent: int, name: str) -> int:
    return os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
