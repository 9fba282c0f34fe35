"""A directory of which nothing leads out; see `helping/resolving.py` for how."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Final

from backends.mounted.helping.resolving import DIRECTORY, OpenHow, Resolver, find_resolver
from backends.mounted.mountinfo import UNKNOWN, MountedAs, mounted_as
from domain.paths import RelativePath

#: What is said of an open directory that somebody has removed: by local file systems and FUSE, by NFS.
GONE: Final = (errno.ENOENT, errno.ESTALE)


@contextmanager
def stale_as_gone() -> Iterator[None]:
    """Raise FileNotFoundError also where an open directory was removed by another host."""
    try:
        yield
    except OSError as error:
        if error.errno != errno.ESTALE:
            raise
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT)) from error


@contextmanager
def opened(fd: int) -> Iterator[int]:
    """Close a descriptor at the end."""
    try:
        yield fd
    finally:
        os.close(fd)


@lru_cache(maxsize=1)
def best_resolver() -> Resolver:
    """The kernel's resolution if there is one, else ours."""
    return find_resolver()


class Beneath:
    """A directory nothing leads out of. Owns its descriptor; close it with `with`.

    Args:
        mounted: what is known of the mount it lies on.
    """

    def __init__(self, fd: int, resolver: Resolver, mounted: MountedAs = UNKNOWN) -> None:
        self.fd = fd
        self.resolver = resolver
        self.mounted = mounted

    def __enter__(self) -> Beneath:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the descriptor back."""
        os.close(self.fd)

    def open(self, path: RelativePath, flags: int, mode: int = 0) -> int:
        """Open a path; the last name may be a link only without O_NOFOLLOW."""
        try:
            return self.resolver.open(self.fd, path.parts, flags, mode)
        except OSError as error:
            if not self.mounted.is_shared or error.errno not in GONE:
                raise
        self._ask_anew(path.parts[:-1])
        return self.resolver.open(self.fd, path.parts, flags, mode)

    @contextmanager
    def directory(self, path: RelativePath) -> Iterator[int]:
        """A descriptor of a directory, for the `dir_fd` of other calls."""
        with opened(self.open(path, DIRECTORY)) as fd:
            yield fd

    def below(self, parts: Sequence[str]) -> Beneath:
        """A directory under this one, reached along no link."""
        fd = self._newest(parts) if self.mounted.is_shared else self.resolver.open_plain(self.fd, parts)
        return Beneath(fd, self.resolver, self.mounted)

    def open_at_once(self, parts: Sequence[str], how: OpenHow) -> int | None:
        """Open something without waiting for anything; None if that cannot be done.

        On file systems of other hosts, opening alone may wait.
        """
        return self.resolver.open_at_once(self.fd, parts, how) if self.mounted.is_local else None

    def _newest(self, parts: Sequence[str]) -> int:
        """Open a directory that another host may just have made, renamed or removed.

        A client of NFS remembers for up to a minute which names there are and which there are not. When it opens a
        directory for reading, it asks the server whether it has changed since (nfs(5), close-to-open consistency).
        """
        try:
            with opened(self.resolver.open_plain(self.fd, parts[:-1])) as parent:
                os.close(readable(parent))
                return self.resolver.open_plain(parent, parts[-1:])
        except OSError as error:
            if error.errno not in GONE:
                raise
        self._ask_anew(parts)
        return self.resolver.open_plain(self.fd, parts)

    def _ask_anew(self, parts: Sequence[str]) -> None:
        """Have the storage asked about every directory on a way."""
        fd = os.dup(self.fd)
        try:
            os.close(readable(fd))
            for part in parts:
                deeper = os.open(part, DIRECTORY | os.O_NOFOLLOW, dir_fd=fd)
                os.close(fd)
                fd = deeper
                os.close(readable(fd))
        except OSError:
            pass  # whoever asked will hear of it
        finally:
            os.close(fd)


def open_root(path: str | os.PathLike[str], resolver: Resolver | None = None) -> Beneath:
    """Open a directory named by the operator; it may itself be reached over links."""
    fd = os.open(path, DIRECTORY)
    return Beneath(fd, resolver or best_resolver(), mounted_as(os.fspath(path)))


def readable(fd: int) -> int:
    """A descriptor of the same directory that can be listed; close it."""
    return os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=fd)


def names_in(directory: Beneath) -> list[str]:
    """Names of a directory, sorted."""
    with opened(readable(directory.fd)) as fd:
        return sorted(os.listdir(fd))
