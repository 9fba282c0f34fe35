"""The place on a volume where the bytes of an upload gather."""

from __future__ import annotations

from collections.abc import Callable

from backends.contract import FileAccess, Synced
from backends.powers import places_whole
from domain.errors import NotFoundError
from domain.paths import ROOT
from gateway.quotas import Quotas
from gateway.uploads.session import UploadSession


class Stager:
    """Makes room for uploads that are recorded. Repeat-safe."""

    def __init__(self, files: Callable[[UploadSession], FileAccess], quotas: Quotas) -> None:
        self._files = files
        self._quotas = quotas

    async def find_folder(self, session: UploadSession) -> None:
        """See that the folder is there. Raises NotFoundError."""
        await self._files(session).stat(ROOT)

    async def is_limited(self, session: UploadSession) -> bool:
        """Whether an upload counts against any limit.

        Raises:
            QuotaExceededError: no room.
            NotFoundError: no such folder; without a scope there is none, which is what was asked for.
        """
        try:
            return await self._quotas.is_limited(session)
        except NotFoundError:
            await self.find_folder(session)
            raise

    async def begin(self, session: UploadSession) -> None:
        """See that an upload fits, and make its place, unless it is to get that later. Raises as `stage`."""
        files = self._files(session)
        if session.unstaged and places_whole(files):
            await self._quotas.judge(session)
            await files.expect_whole(session.length or 0)
        else:
            await self.stage(session)

    async def stage(self, session: UploadSession) -> None:
        """See that an upload fits, and make its place.

        Raises:
            QuotaExceededError, StorageFullError: no room.
            NotFoundError: no such folder.
        """
        await self._quotas.judge(session)
        await self._files(session).create_staging(
            session.id, destination=session.destination or ROOT, length=session.length, note=session.note()
        )

    async def stage_whole(self, session: UploadSession, data: bytes) -> Synced:
        """See that an upload fits, and make all of its bytes durable at their place.

        Raises as `stage`, and ConflictError: a directory is in the way.
        """
        assert session.destination is not None, "a part is never whole"
        await self._quotas.judge(session)
        return await self._files(session).stage_whole(session.id, data, session.destination)
