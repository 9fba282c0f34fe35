"""The outbox of a mounted volume: the blocking operations, run on the volume's threads."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from backends.mounted.area import Area
from backends.mounted.arrivals import Arrivals
from backends.mounted.changes import Changes
from backends.mounted.outbox_parts import OutboxParts
from backends.mounted.room import Room
from backends.powers import Arrival, Recovered
from backends.threads import VolumeThreads
from domain.outbox import Mark, Written


class MountedOutbox:
    """Words about changes of files on a volume whose file system keeps the order of changes."""

    def __init__(self, area: Area, threads: VolumeThreads) -> None:
        #: For who writes, on a thread of the volume.
        self.written = OutboxParts(area)
        self.arrivals = Arrivals(area, self.written)
        self.changes = Changes(threads, self.written)
        self.room = Room()
        self._threads = threads

    async def open(self) -> None:
        """Make it ready to be written to. Repeat-safe."""
        await self._threads.run(self.written.open)
        await self._threads.run(self.arrivals.open)

    def close(self) -> None:
        """Give everything back."""
        self.written.close()
        self.arrivals.close()

    def mark(self) -> Mark | None:
        """What differs once anything more was written; looks at what the kernel has in memory only."""
        return self.written.mark()

    async def parts(self) -> Sequence[Mark]:
        """Its parts, with their sizes."""
        return await self._threads.run(self.written.parts)

    async def read(self, part: str, offset: int) -> Sequence[Written]:
        """Entries of a part."""
        return await self._threads.run(self.written.read, part, offset)

    async def drop(self, part: str, offset: int) -> bool:
        """Remove a part that was read."""
        return await self._threads.run(self.written.drop, part, offset)

    async def arriving(self) -> Sequence[str]:
        """Uploads on their way to their places."""
        return await self._threads.run(self.arrivals.lift)

    async def recover(self, session: str, words: Callable[[Arrival], bytes]) -> Recovered:
        """Tell of a file nobody is at any more."""
        return await self._threads.run(self.arrivals.recover, session, words)
