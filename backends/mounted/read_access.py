"""Reading names and bytes of one directory on a mounted file system, on threads of its volume."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from typing import Concatenate, ParamSpec, TypeVar

from backends.contract import FileStat, Listing, ReadHandle, SmallRead
from backends.mounted import names, reading
from backends.mounted.beneath import Beneath
from backends.mounted.read_handle import MountedReadHandle
from backends.threads import VolumeThreads
from domain.paths import RelativePath

P = ParamSpec("P")
T = TypeVar("T")


class MountedReadAccess(ABC):
    """Read access by a mount point.

    Args:
        mount: root of the volume the directory lies on; None: it lies on none.
    """

    def __init__(self, threads: VolumeThreads, mount: Beneath | None) -> None:
        self._threads = threads
        self._volume = mount

    @abstractmethod
    def _root(self) -> AbstractContextManager[Beneath]:
        """The directory, open as long as the block lasts. Blocking."""

    async def _run(
        self, operation: Callable[Concatenate[Beneath, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        return await self._threads.run(self._on_root(operation), *args, **kwargs)

    def _on_root(self, operation: Callable[Concatenate[Beneath, P], T]) -> Callable[P, T]:
        def on_root(*args: P.args, **kwargs: P.kwargs) -> T:
            with self._root() as root:
                return operation(root, *args, **kwargs)

        on_root.__name__ = operation.__name__
        return on_root

    async def stat(self, path: RelativePath) -> FileStat:
        """Look at an entry; a link is looked at itself."""
        return await self._run(names.look, path)

    async def listing(self, path: RelativePath, *, limit: int) -> Listing:
        """List a directory."""
        return await self._threads.scan(self._on_root(names.list_directory), path, limit)

    async def open_read(self, path: RelativePath) -> MountedReadHandle:
        """Open a regular file; a link inside the folder is followed."""
        descriptor, known = await self._run(reading.open_file, path)
        return MountedReadHandle(descriptor, known, self._volume, self._threads)

    async def open_or_read(
        self, path: RelativePath, few: Callable[[FileStat], tuple[int, int] | None]
    ) -> tuple[FileStat, bytes | ReadHandle]:
        """Open a file, or read some of its bytes; all on one thread."""
        known, found = await self._run(reading.open_or_read, path, few)
        if isinstance(found, bytes):
            return known, found
        return known, MountedReadHandle(found, known, self._volume, self._threads, is_watched=True)

    async def read_many(
        self, paths: Sequence[RelativePath], *, max_bytes: int, then: Callable[[Sequence[SmallRead | None]], T]
    ) -> T:
        """Read small files whole, all on one thread."""
        return await self._run(reading.read_many, paths, max_bytes, then)

    async def forbidden(self, directory: RelativePath, names: Sequence[str]) -> Collection[str]:
        """Try to open files, all on one thread."""
        return await self._run(reading.forbidden, directory, names)
