"""Copies of files inside one volume: the storage moves the bytes, or has two files share them."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from backends.contract import ReadHandle, Staging, Volume
from backends.powers import CopiesFromFiles
from bus.contract import Clock
from domain.errors import ConflictError, PenstockError, Retry
from domain.ids import VFolderId, VolumeName
from domain.paths import RelativePath
from gateway.uploads.beginning import Beginner
from gateway.uploads.finishing import Finisher
from gateway.uploads.open_upload import OpenUpload
from gateway.uploads.opened import OpenUploads
from gateway.uploads.session import UploadSession
from gateway.uploads.sessions import Known, only_known_here

#: Bytes copied between two looks at the lease, and at once where the storage cannot copy by itself.
_STEP_BYTES: Final = 64 << 20
_READ_BYTES: Final = 4 << 20
#: How often a file is copied that is written to meanwhile.
_TRIES: Final = 3
#: How long a copy that was broken off stays, in seconds.
_COPY_SECONDS: Final = 3600.0


@dataclass(frozen=True, slots=True)
class CopySource:
    """A file to be copied."""

    folder: VFolderId
    path: RelativePath


class _ChangedError(ConflictError):
    """What was copied is no state the file ever had."""

    retry = Retry.LATER

    def __init__(self) -> None:
        super().__init__("the file was changed while it was copied", reason="changed")


class Copier:
    """Fills uploads from files that are there. A copy that was broken off is dropped like any unfinished upload."""

    def __init__(
        self,
        volumes: Mapping[VolumeName, Volume],
        clock: Clock,
        beginner: Beginner,
        opened: OpenUploads,
        finisher: Finisher,
    ) -> None:
        self._volumes = volumes
        self._clock = clock
        self._beginner = beginner
        self._opened = opened
        self._finisher = finisher

    async def copy(self, source: CopySource, volume: VolumeName, folder: VFolderId, path: RelativePath) -> Known:
        """Copy a file to another place on its volume, all in one state of it. A file there is replaced.

        Raises:
            NotFoundError, ConflictError: nothing to copy, or no place for it.
            ConflictError (`reason` is `changed`): the file was written to at each try.
            QuotaExceededError, StorageFullError: no room.
        """
        left = _TRIES
        while True:
            handle = await self._volumes[volume].files(source.folder).open_read(source.path)
            try:
                return await self._copy(handle, volume, folder, path)
            except _ChangedError:
                left -= 1
                if not left:
                    raise
            finally:
                await handle.close()

    async def _copy(self, source: ReadHandle, volume: VolumeName, folder: VFolderId, path: RelativePath) -> Known:
        """One try to."""
        session = UploadSession(
            id=secrets.token_hex(16),
            volume=volume,
            folder=folder,
            destination=path,
            length=source.stat.size_bytes,
            expires=self._clock.now() + _COPY_SECONDS,
            begun=self._clock.now(),
            reserved_bytes=source.stat.size_bytes,
        )
        await self._beginner.begin_own(session)
        try:
            with only_known_here():
                return await self._filled(session, source)
        except PenstockError:
            # One that is on its way to its place, or there and not yet told of, is finished by the sweeper.
            await self._finisher.expire(session)
            raise

    async def _filled(self, session: UploadSession, source: ReadHandle) -> Known:
        async with self._opened.use(session.id) as opened:
            assert opened.staging is not None, "nothing was stored in it before"
            sha256 = await self._fill(opened, opened.staging, source)
            opened.known = await self._finisher.finish(opened.known, sha256=sha256, compute=False)
            return opened.known

    async def _fill(self, opened: OpenUpload, staging: Staging, source: ReadHandle) -> bytes | None:
        """Copy all bytes; returns their digest, if it is known. Raises _ChangedError."""
        kept = await source.sha256()
        if not isinstance(staging, CopiesFromFiles):
            await self._pass_on(opened, staging, source)
            return opened.digest.digest() if opened.digest is not None else kept
        # What the digest of the copy would have seen it has not.
        opened.digest = None
        await self._have_moved(opened, staging, source)
        return kept if await source.sha256() == kept else None

    async def _pass_on(self, opened: OpenUpload, staging: Staging, source: ReadHandle) -> None:
        size = source.stat.size_bytes
        while staging.offset < size:
            await opened.lease.confirm()
            data = await source.read(staging.offset, min(_READ_BYTES, size - staging.offset))
            if not data:
                raise _ChangedError
            await staging.append([data])
        await _see_that_it_is_as_it_was(source)

    async def _have_moved(self, opened: OpenUpload, staging: CopiesFromFiles, source: ReadHandle) -> None:
        size = source.stat.size_bytes
        if await staging.share_all(source):
            # They are of one moment, whatever became of the file before and after it.
            if staging.offset != size:
                raise _ChangedError
            return
        while (before := staging.offset) < size:
            await opened.lease.confirm()
            if not await staging.append_from(source, before, min(_STEP_BYTES, size - before)):
                raise _ChangedError
        await _see_that_it_is_as_it_was(source)


async def _see_that_it_is_as_it_was(source: ReadHandle) -> None:
    if not await source.is_unchanged():
        raise _ChangedError
