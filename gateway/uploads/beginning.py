"""Beginning uploads: of tokens that name one, and of tokens for all below a directory."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Final

import anyio
from loguru import logger

from backends.contract import Volume
from domain.errors import (
    GoneError,
    InvalidRequestError,
    LockedError,
    NotFoundError,
    PenstockError,
    Subject,
    TooLargeError,
    UnauthenticatedError,
)
from domain.ids import VolumeName
from gateway.protocol.metadata import wants_unpacking, whole_sha256
from gateway.protocol.tus import Creation
from gateway.settings import GatewaySettings
from gateway.tokens import CollectionClaims, UploadClaims
from gateway.uploads.admission import Admission
from gateway.uploads.at_once import AtOnce
from gateway.uploads.finishing import Finisher
from gateway.uploads.parts import Parts
from gateway.uploads.places import named_path, upload_path, volume_of
from gateway.uploads.session import UploadSession, UploadState
from gateway.uploads.sessions import UNRECORDED, Known, Sessions, only_known_here
from gateway.uploads.staging import Stager

#: Of an upload besides what its token tells.
NOTHING_TOLD: Final = Creation(None, "", None)
#: How long taking an upload back may take when its request was cancelled, in seconds.
_UNDO_SECONDS: Final = 10.0


class Beginner:
    """Begins uploads. Repeat-safe where the token names the upload."""

    def __init__(
        self,
        volumes: Mapping[VolumeName, Volume],
        settings: GatewaySettings,
        sessions: Sessions,
        stager: Stager,
        finisher: Finisher,
        parts: Parts,
        at_once: AtOnce,
        admission: Admission,
    ) -> None:
        self._volumes = volumes
        self._settings = settings
        self._sessions = sessions
        self._stager = stager
        self._finisher = finisher
        self._parts = parts
        self._at_once = at_once
        self._admission = admission

    async def date(self, claims: UploadClaims) -> UploadClaims:
        """Begin a new upload without recording it, if nothing has to be recorded.

        Nothing has to be where one small request may bring all of it, no room is reserved for it, and that it is
        finished is known for as long as it can be begun.

        Returns:
            What its token is to say: if it has begun, also when. If it has not, it is for `create`.

        Raises as `create`.
        """
        self._check_size(claims)
        session = self._expected(self.named(claims))
        is_known_long = self._settings.finished_seconds >= self._settings.upload_seconds
        if not (session.unstaged and is_known_long) or await self._stager.is_limited(session):
            return claims
        await self._stager.begin(session)
        return claims.model_copy(update={"begun": session.begun})

    def unrecorded(self, claims: UploadClaims | CollectionClaims) -> Known | None:
        """An upload nothing is recorded of, as its token tells; None if there is none, or its time is over."""
        if not isinstance(claims, UploadClaims) or claims.begun is None:
            return None
        session = self._expected(self.named(claims, begun=claims.begun))
        return Known(session, UNRECORDED) if session.expires > self._sessions.now else None

    async def create(self, claims: UploadClaims, creation: Creation = NOTHING_TOLD, *, new: bool = False) -> Known:
        """Begin the upload a token stands for; one that was begun before goes on.

        An empty file is there at once, for its uploader may never send a request with a body.

        Args:
            creation: what is said of it besides.
            new: nobody has the token yet, so it has surely not begun.

        Raises:
            TooLargeError: longer than any upload may be.
            QuotaExceededError, StorageFullError: no room.
            NotFoundError: no such volume or folder.
            GoneError: it was dropped.
            InvalidPathError: nothing may be uploaded there.
        """
        self._check_size(claims)
        session = self.named(claims, creation)
        known = None if new else await self._sessions.load(session.id)
        known = known or await self.begin(self._expected(session))
        self.check_claims(claims, known.session)
        return await self._finisher.finish(known) if known.session.length == 0 else known

    def _check_size(self, claims: UploadClaims) -> None:
        most = self._settings.max_upload_bytes
        if claims.size > most:
            raise TooLargeError(f"{claims.size} bytes are more than {most}", max_bytes=most)

    async def begin_below(self, session: UploadSession, *, bodiless: bool = False) -> Known:
        """Begin an upload of `unnamed`; if that fails nothing is left of it.

        Args:
            bodiless: nothing of it has come yet.

        Raises:
            QuotaExceededError, StorageFullError: no room.
            NotFoundError: no such folder.
            TooManyError: the token's owner has too many unfinished uploads.
            InvalidRequestError, ConflictError, TooLargeError: parts that cannot be used.
            PenstockError: an upload that is finished at once could not be, as `Finisher.finish`.

        Returns:
            It, or the same final upload that was begun before.
        """
        if session.is_final:
            await self._stager.find_folder(session)
            if (begun := await self._parts.check(session)) is not None:
                return await self._assembled(begun)
        session = self._expected(session) if bodiless else session
        try:
            with only_known_here():
                return await self._begun_below(session)
        except BaseException:
            await self.undo(session)
            raise

    async def _begun_below(self, session: UploadSession) -> Known:
        known = await self._admission.record(session, partial(self._record_anew, session))
        await self._stager.begin(session)
        known = await self._judged(known)
        if session.is_final:
            return await self._assembled(known)
        return await self._finisher.finish(known) if session.length == 0 and not session.is_part else known

    async def _assembled(self, final: Known) -> Known:
        await self._parts.bind(final.session)
        try:
            return await self._parts.assemble(final.session.id) or final
        except LockedError:
            return final  # who has stored its last part puts it together

    async def adopt(self, session: UploadSession) -> Known:
        """Finish an upload of `unnamed` whose file is there already; nothing comes in, so nothing is reserved.

        Raises as `begin_below`.
        """
        known = await self._record_anew(replace(session, reserved_bytes=0))
        try:
            done = await self._finisher.adopt(known)
        except Exception:
            await self.undo(session)
            raise
        if done is None:  # the file was changed a moment ago
            await self._sessions.forget(known.session)
            return await self.begin_below(session)
        return done

    async def undo(self, session: UploadSession) -> None:
        """Take back an upload nobody has heard of, unless its bytes are on their way to their place."""
        with anyio.move_on_after(_UNDO_SECONDS, shield=True):
            try:
                known = await self._sessions.load(session.id)
                if known is not None and known.session.state in (UploadState.OPEN, UploadState.GONE):
                    await self._finisher.remove(known.session)
                    await self._sessions.forget(known.session)
            except PenstockError as error:
                logger.warning("taking back upload {}, which expires now: {}", session.id, error)

    async def create_whole(self, session: UploadSession, data: bytes) -> Known:
        """Begin and finish an upload of `unnamed` of which all bytes are there.

        Nobody has heard of it before it is finished, so nobody else is at it, and it is never an unfinished one.
        Raises as `begin`, and as `Finisher.finish`.
        """
        try:
            with only_known_here():
                known = await self._record_anew(session)
                synced = await self._stager.stage_whole(session, data)
                return await self._finisher.finish_whole(known, data, synced)
        except BaseException:
            await self.undo(session)
            raise

    async def begin_own(self, session: UploadSession) -> Known:
        """Begin an upload nobody else is to hear of; if that fails nothing is left of it. Raises as `begin`."""
        try:
            known = await self._record_anew(session)
            await self._stager.begin(session)
            return await self._judged(known)
        except BaseException:
            await self.undo(session)
            raise

    async def begin(self, session: UploadSession) -> Known:
        """Record an upload, with what it reserves, and make its place; one that is recorded already goes on.

        Raises:
            QuotaExceededError, StorageFullError: no room.
            NotFoundError: no such folder.
            GoneError: it was dropped.
        """
        known = await self._record(session)
        if known is None:
            return await self._sessions.require(session.id)
        try:
            await self._stager.begin(session)
        except Exception:
            await self._sessions.forget(session)  # it gets no place, so it has not begun
            raise
        return await self._judged(known)

    async def _judged(self, known: Known) -> Known:
        """Record of an upload that fits its limits that it does, if it is asked for that before it is finished."""
        if not (known.session.unstaged and await self._stager.is_limited(known.session)):
            return known
        return await self._sessions.replace(known, replace(known.session, judged=True)) or known

    def _expected(self, session: UploadSession) -> UploadSession:
        """An upload nothing has come of yet: it gets its place later, if all of it may come at once."""
        return replace(session, unstaged=self._at_once.takes(session))

    async def _record(self, session: UploadSession) -> Known | None:
        """Record an upload with what it reserves; None if it is recorded already."""
        await self._stager.is_limited(session)  # where its scope or folder is missing, that is told
        return await self._sessions.create(session)

    async def _record_anew(self, session: UploadSession) -> Known:
        """Record an upload of which nobody knows; the bus may have been asked twice."""
        return await self._record(session) or await self._sessions.require(session.id)

    def named(
        self, claims: UploadClaims, creation: Creation = NOTHING_TOLD, begun: float | None = None
    ) -> UploadSession:
        """The upload a token stands for, as it is before anything has come of it.

        Args:
            begun: Unix time at which it was begun; None: now.

        Raises:
            InvalidPathError: nothing may be uploaded there.
            InvalidRequestError: what is said of it makes no sense.
        """
        begun = self._sessions.now if begun is None else begun
        return UploadSession(
            id=claims.session,
            volume=volume_of(self._volumes, claims.volume).name,
            folder=claims.vfid,
            destination=upload_path(claims.relpath),
            length=claims.size,
            expires=begun + self._sessions.open_seconds,
            begun=begun,
            metadata=creation.metadata,
            reserved_bytes=claims.size,
            announced_sha256=announced(creation.texts, creation.sha256),
        )

    def check_claims(self, claims: UploadClaims | CollectionClaims, session: UploadSession) -> None:
        """See that a token is for an upload.

        Raises:
            NotFoundError (subject upload): it is for another one.
            UnauthenticatedError: it was past its time when the upload was begun, whatever clocks may be off.
            GoneError: the upload is expired or dropped.
        """
        same = (session.volume, session.folder) == (claims.volume, claims.vfid)
        if isinstance(claims, UploadClaims):
            same = same and (session.id, session.length) == (claims.session, claims.size)
        else:
            same = same and session.owner == claims.owner
        if not same:
            # Whether somebody else's upload exists is nobody else's business.
            raise NotFoundError("not the token's upload", subject=Subject.UPLOAD)
        if claims.exp < session.begun - self._settings.token_skew_seconds:
            raise UnauthenticatedError("cannot decode the given value as JWT: Signature has expired")
        if session.is_gone:
            raise GoneError("expired or dropped", subject=Subject.UPLOAD)

    def unnamed(self, claims: CollectionClaims, creation: Creation) -> UploadSession:
        """A new upload below the directory a token stands for, as it is before it has begun.

        Raises:
            InvalidPathError: nothing may be uploaded there.
            InvalidRequestError: no name for the file, or what is said of it makes no sense.
        """
        metadata = creation.texts
        is_part = creation.concat is not None and creation.concat.parts is None
        return UploadSession(
            id=secrets.token_hex(16),
            volume=volume_of(self._volumes, claims.volume).name,
            folder=claims.vfid,
            destination=None if is_part else named_path(claims, metadata),
            length=creation.length,
            expires=self._sessions.expiry,
            begun=self._sessions.now,
            metadata=creation.metadata,
            owner=claims.owner,
            concat=creation.concat.text if creation.concat else "",
            parts=creation.concat.parts or () if creation.concat else (),
            reserved_bytes=creation.length or 0,
            unpack=not is_part and wants_unpacking(metadata),
            announced_sha256="" if is_part else announced(metadata, creation.sha256),
        )


def announced(metadata: Mapping[str, str], sha256: str) -> str:
    """The SHA-256 a file is announced to have by its metadata, or besides.

    Raises:
        InvalidRequestError: it is told in two ways that differ.
    """
    told = whole_sha256(metadata)
    if told and sha256 and told != sha256:
        raise InvalidRequestError("not the sha256 of Upload-Metadata", field="Upload-Checksum")
    return told or sha256
