"""Uploads that are not recorded: begun by their token alone, or with a record that Redis has lost."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace

from backends.contract import Volume
from domain.errors import InvalidRequestError, NotFoundError, Subject
from domain.ids import VFolderId, VolumeName
from gateway.tokens import CollectionClaims, UploadClaims
from gateway.uploads.beginning import Beginner
from gateway.uploads.session import UploadSession, UploadState
from gateway.uploads.sessions import Sessions


class LostRecords:
    """Makes records of what lies beside the bytes of uploads, and of what their tokens say."""

    def __init__(self, volumes: Mapping[VolumeName, Volume], sessions: Sessions, beginner: Beginner) -> None:
        self._volumes = volumes
        self._sessions = sessions
        self._beginner = beginner

    async def recover(self, claims: UploadClaims | CollectionClaims, session_id: str) -> None:
        """Record what was not recorded yet, or make a lost record anew.

        Raises:
            NotFoundError (subject upload): never begun, or not the token's.
            QuotaExceededError: it does not fit any more.
        """
        session = await self._last_known(claims, session_id)
        self._beginner.check_claims(claims, session)
        await self.revive(session)

    async def recover_parts(self, claims: CollectionClaims, final: UploadSession) -> None:
        """Make lost records of what a final upload is put together from anew, as far as that can be.

        Raises QuotaExceededError: as `recover`.
        """
        for part_id in dict.fromkeys(final.parts):
            if await self._sessions.load(part_id) is None:
                with suppress(NotFoundError, InvalidRequestError):  # told in the right words where it is begun
                    await self.recover(claims, part_id)

    async def _last_known(self, claims: UploadClaims | CollectionClaims, session_id: str) -> UploadSession:
        """An upload that is not recorded: as is noted beside its bytes, or as its token says."""
        try:
            noted = await self.noted(VolumeName(claims.volume), claims.vfid, session_id)
        except NotFoundError:
            if (unrecorded := self._beginner.unrecorded(claims)) is None:
                raise
            return unrecorded.session
        if noted is not None:
            return noted
        if isinstance(claims, UploadClaims):
            return self._beginner.named(claims)
        raise NotFoundError("its record was lost", subject=Subject.UPLOAD)

    async def noted(self, volume: VolumeName, folder: VFolderId, session_id: str) -> UploadSession | None:
        """What is noted beside the bytes of an upload, if it can be used.

        Raises:
            NotFoundError: there are no bytes.
        """
        note = await self._volumes[volume].files(folder).staging_note(session_id)
        noted = _usable(UploadSession.from_note(note), session_id)
        return noted if noted is not None and (noted.volume, noted.folder) == (volume, folder) else None

    async def revive(self, session: UploadSession) -> None:
        """Record an upload anew whose record was lost. Raises QuotaExceededError."""
        await self._beginner.begin(replace(session, expires=self._sessions.expiry))


def _usable(noted: UploadSession | None, session_id: str) -> UploadSession | None:
    """What a note says, as far as it may be believed: who mounts the folder could have written it."""
    if noted is None or noted.id != session_id or noted.state is not UploadState.OPEN:
        return None
    if noted.destination is not None and (noted.destination.is_root or noted.destination.is_reserved):
        return None
    return replace(noted, reserved_bytes=noted.length or 0, judged=False, sha256="", floor=None)
