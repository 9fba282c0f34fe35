"""A directory of which nothing leads out; see `helping/resolving.py` for how."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache

from backends.mounted.helping.resolving import DIRECTORY, Resolver, find_resolver
from backends.mounted.mountinfo import UNKNOWN, MountedAs, mounted_as
from domain.paths import RelativePath


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
        return self.resolver.open(self.fd, path.parts, flags, mode)

    @contextmanager
    def directory(self, path: RelativePath) -> Iterator[int]:
        """A descriptor of a directory, for the `dir_fd` of other calls."""
        with opened(self.open(path, DIRECTORY)) as fd:
            yield fd

    def below(self, parts: Sequence[str]) -> Beneath:
        """A directory under this one, reached along no link."""
        fd = self.resolver.open_plain(self.fd, parts)
        return Beneath(fd, self.resolver, self.mounted)


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
