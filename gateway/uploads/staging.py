"""The place on a volume where the bytes of an upload gather."""

from __future__ import annotations

from collections.abc import Callable

from backends.contract import FileAccess
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

    async def stage(self, session: UploadSession, data: bytes = b"") -> None:
        """See that an upload fits, and make its place.

        Args:
            data: all of its bytes, if they are there.

        Raises:
            QuotaExceededError, StorageFullError: no room.
            NotFoundError: no such folder.
        """
        await self._quotas.judge(session)
        await self._files(session).create_staging(
            session.id,
            destination=session.destination or ROOT,
            length=session.length,
            note=b"" if data else session.note(),
            data=data,
        )
