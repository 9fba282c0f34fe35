"""Copies of files inside one volume: the storage moves the bytes, or has two files share them."""

from __future__ import annotations

from typing import Final

from backends.contract import ReadHandle, Staging
from backends.powers import CopiesFromFiles
from domain.errors import BackendFaultError, Subject
from gateway.uploads.finishing import Finisher
from gateway.uploads.opened import OpenUpload, OpenUploads
from gateway.uploads.session import UploadSession
from gateway.uploads.sessions import Known

#: Bytes copied between two looks at the lease, and at once where the storage cannot copy by itself.
_STEP_BYTES: Final = 64 << 20
_READ_BYTES: Final = 4 << 20


class Copier:
    """Fills uploads from files that are there. A copy that was broken off is dropped like any unfinished upload."""

    def __init__(self, opened: OpenUploads, finisher: Finisher) -> None:
        self._opened = opened
        self._finisher = finisher

    async def copy(self, session: UploadSession, source: ReadHandle) -> Known:
        """Fill an upload that was begun for an open file, and finish it.

        Raises:
            BackendFaultError: the file became shorter meanwhile.
            PenstockError: as `Finisher.finish`; or the storage failed.
        """
        async with self._opened.use(session.id) as opened:
            assert opened.staging is not None, "nothing was stored in it before"
            sha256 = await self._fill(opened, opened.staging, source)
            opened.known = await self._finisher.finish(opened.known, sha256=sha256, compute=False)
            return opened.known

    async def _fill(self, opened: OpenUpload, staging: Staging, source: ReadHandle) -> bytes | None:
        size = source.stat.size_bytes
        kept = await source.sha256()
        by_storage = isinstance(staging, CopiesFromFiles)
        while staging.offset < size:
            await opened.lease.confirm()
            before = staging.offset
            if isinstance(staging, CopiesFromFiles):
                await staging.append_from(source, before, min(_STEP_BYTES, size - before))
            else:
                await staging.append([await source.read(before, min(_READ_BYTES, size - before))])
            if staging.offset == before:
                raise BackendFaultError("the file became shorter while it was copied", subject=Subject.FILE)
        if by_storage:
            # What the digest of the copy would have seen it has not.
            opened.digest = None
            return kept if await source.sha256() == kept else None
        return opened.digest.digest() if opened.digest is not None else kept
