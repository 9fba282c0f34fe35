"""Directories outside of all volumes, to be read and never written.

What an operator has named is opened as he names it, over whatever links. From there on nothing leads out: no link
may be on the way to a directory, and what is read lies beneath that one, as in a folder of a volume. All of it is
opened anew for each use: a directory may be mounted, replaced or gone the next time.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final

import anyio

from backends.descriptor import SharedDescriptor
from backends.mounted.beneath import Beneath, open_root
from backends.mounted.errors import missing, translated
from backends.mounted.mountinfo import MountedAs
from backends.mounted.read_access import MountedReadAccess
from backends.observer import BackendObserver
from backends.outside import NOWHERE, place_of
from backends.registry import Site
from backends.settings import ThreadSettings
from backends.threads import VolumeThreads
from domain.errors import InvalidPathError, Subject

#: How a directory is named to who may only know what lies in it.
_ITSELF: Final = "."


class MountedOutside:
    """What lies in the directories an operator has named."""

    def __init__(self, directories: Sequence[Path], threads: VolumeThreads) -> None:
        self._threads = threads
        places = [(place_of(str(directory)), directory) for directory in directories]
        # The nearest one first.
        self._named = sorted(
            ((place, directory) for place, directory in places if place is not None),
            key=lambda item: -len(item[0].parts),
        )

    def admits(self, path: str) -> bool:
        """Whether a path is that of such a directory, or of one beneath."""
        return self._found(path) is not None

    @asynccontextmanager
    async def opened(self, path: str) -> AsyncIterator[MountedReadAccess]:
        """A directory, to be read as long as the block lasts."""
        found = self._found(path)
        if found is None:
            raise InvalidPathError("lies in no directory that may be read", subject=Subject.FILE, path=_ITSELF)
        root = await self._threads.run(_open, *found)
        try:
            yield _Directory(root, self._threads)
        finally:
            await self._threads.finish(root.close)

    def _found(self, path: str) -> tuple[Path, tuple[str, ...]] | None:
        """The directory a path lies in, and the names from there on."""
        place = place_of(path)
        if place is None:
            return None
        for named, directory in self._named:
            if place.is_within(named):
                return directory, place.parts[len(named.parts) :]
        return None


class _Root:
    """An open directory. Closed when the last call that uses it is done."""

    def __init__(self, opened: Beneath) -> None:
        self._descriptor = SharedDescriptor(opened.fd)
        self._resolver = opened.resolver
        self._mounted: MountedAs = opened.mounted

    @contextmanager
    def use(self) -> Iterator[Beneath]:
        """The directory, kept open meanwhile."""
        with self._descriptor.use() as fd:
            yield Beneath(fd, self._resolver, self._mounted)

    def close(self) -> None:
        """Give it back. Repeat-safe."""
        self._descriptor.close()


def _open(directory: Path, below: Sequence[str]) -> _Root:
    """Open what lies in a directory. Blocking."""
    with translated(_ITSELF):
        try:
            with open_root(directory) as named:
                return _Root(named.below(below))
        except NotADirectoryError as error:
            raise missing(_ITSELF) from error


class _Directory(MountedReadAccess):
    """What lies in an open directory."""

    def __init__(self, opened: _Root, threads: VolumeThreads) -> None:
        super().__init__(threads, None)
        self._opened = opened

    def _root(self) -> AbstractContextManager[Beneath]:
        return self._opened.use()


@asynccontextmanager
async def open_outside(directories: Sequence[Path], observer: BackendObserver) -> AsyncIterator[MountedOutside]:
    """Directories outside of all volumes, with threads of their own; nothing is opened yet."""
    threads = Site(NOWHERE, {}, ThreadSettings(), observer).threads()
    try:
        yield MountedOutside(directories, threads)
    finally:
        with anyio.CancelScope(shield=True):
            await threads.close()
