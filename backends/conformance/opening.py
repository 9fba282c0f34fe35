"""The volume the suite looks at."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from backends.conformance.words import FOLDER, SCOPE, op
from backends.contract import FileAccess, Volume


class OpensVolume:
    """What each part of the suite begins with."""

    def open_volume(self) -> AbstractAsyncContextManager[Volume]:
        """The volume of this test, empty at the first opening."""
        raise NotImplementedError

    @asynccontextmanager
    async def with_folder(self) -> AsyncIterator[tuple[Volume, FileAccess]]:
        """A volume with one folder, and its files."""
        async with self.open_volume() as volume:
            await volume.create_scope(op(), SCOPE, None)
            await volume.create_folder(op(), FOLDER, 0o755)
            yield volume, volume.files(FOLDER)
