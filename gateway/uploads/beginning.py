"""Beginning uploads: of tokens that name one, and of tokens for all below a directory."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Mapping, Sequence
from typing import TypeVar

from backends.contract import Volume
from bus.contract import Clock
from domain.catalogue import Change
from domain.errors import ConflictError, GoneError, NotFoundError, Subject, TooLargeError, UnauthenticatedError
from domain.ids import VolumeName
from gateway.protocol.metadata import parse_metadata, wants_unpacking, whole_sha256
from gateway.protocol.tus import Creation
from gateway.quotas import Quotas
from gateway.settings import GatewaySettings
from gateway.tokens import CollectionClaims, UploadClaims
from gateway.uploads.finishing import Finisher
from gateway.uploads.parts import Parts
from gateway.uploads.places import named_path, upload_path, volume_of
from gateway.uploads.reserved import owned
from gateway.uploads.session import UploadSession, UploadState
from gateway.uploads.sessions import Known, Sessions
from gateway.uploads.staging import Stager

T = TypeVar("T")


class Beginner:
    """Begins uploads. Repeat-safe where the token names the upload."""

    def __init__(
        self,
        volumes: Mapping[VolumeName, Volume],
        settings: GatewaySettings,
        sessions: Sessions,
        quotas: Quotas,
        stager: Stager,
        finisher: Finisher,
        parts: Parts,
        clock: Clock,
    ) -> None:
        self._volumes = volumes
        self._settings = settings
        self._sessions = sessions
        self._quotas = quotas
        self._stager = stager
        self._finisher = finisher
        self._parts = parts
        self._clock = clock

    async def create(self, claims: UploadClaims, metadata: str = "", *, new: bool = False) -> Known:
        """Begin the upload a token stands for; one that was begun before goes on.

        An empty file is there at once, for its uploader may never send a request with a body.

        Args:
            new: nobody has the token yet, so it has surely not begun.

        Raises:
            TooLargeError: longer than any upload may be.
            QuotaExceededError, StorageFullError: no room.
            NotFoundError: no such volume or folder.
            GoneError: it was dropped.
            InvalidPathError: nothing may be uploaded there.
        """
        if claims.size > self._settings.max_upload_bytes:
            raise TooLargeError(
                f"{claims.size} bytes are more than {self._settings.max_upload_bytes}",
                max_bytes=self._settings.max_upload_bytes,
            )
        session = self.named(claims, metadata)
        known = (None if new else await self._sessions.load(session.id)) or await self.begin(session)
        check_claims(claims, known.session)
        return await self._finisher.finish(known) if known.session.length == 0 else known

    async def create_below(self, claims: CollectionClaims, creation: Creation) -> Known:
        """Begin a new upload below the directory a token stands for.

        Raises as `create`, and:
            InvalidRequestError: no name for the file, or parts that cannot be used.
            TooManyError: the token's owner has too many unfinished uploads.
        """
        session = self.unnamed(claims, creation)
        if session.is_final:
            await self._stager.find_folder(session)
            await self._parts.check(session)
        await self._quotas.admit(session.owner, self._settings.uploads_per_owner)
        known = await self.begin(session, besides=[owned(session)])
        if session.is_final:
            await self._parts.bind(session)
            return await self._parts.assemble(session.id) or known
        if session.length == 0 and not session.is_part:
            return await self._finisher.finish(known)
        return await self._finisher.adopt(known) or known

    async def create_whole(self, session: UploadSession, data: bytes) -> Known:
        """Begin and finish an upload of `unnamed` of which all bytes are there.

        Nobody has heard of it before it is finished, so nobody else is at it, and it is never an unfinished one.
        Raises as `create_below`, and as `Finisher.finish`.
        """
        known = await self._record(session) or await self._sessions.require(session.id)
        synced = await self._or_forget(session, self._stager.stage_whole(session, data))
        try:
            return await self._finisher.finish_whole(known, data, synced)
        except ConflictError:
            await self._finisher.discard(known.session)
            raise

    async def begin(self, session: UploadSession, *, besides: Sequence[Change] = ()) -> Known:
        """Record an upload, with what it reserves, and make its staging file; one that is recorded already goes on.

        Args:
            besides: what is to be changed in the same step.

        Raises:
            QuotaExceededError, StorageFullError: no room.
            NotFoundError: no such folder.
            GoneError: it was dropped.
        """
        known = await self._record(session, besides)
        if known is None:
            return await self._sessions.require(session.id)
        await self._or_forget(session, self._stager.stage(session))
        return known

    async def _record(self, session: UploadSession, besides: Sequence[Change] = ()) -> Known | None:
        """Record an upload with what it reserves; None if it is recorded already."""
        return await self._sessions.create(session, [*await self._reservation(session), *besides])

    async def _or_forget(self, session: UploadSession, staging: Awaitable[T]) -> T:
        """Wait until a recorded upload has its place; if it gets none, it has not begun."""
        try:
            return await staging
        except Exception:
            await self._sessions.forget(session)
            raise

    async def _reservation(self, session: UploadSession) -> Sequence[Change]:
        try:
            return await self._quotas.reservation(session)
        except NotFoundError:
            # Without a scope there is no folder, which is what was asked for.
            await self._stager.find_folder(session)
            raise

    def named(self, claims: UploadClaims, metadata: str) -> UploadSession:
        """The upload a token stands for, as it is before it has begun."""
        return UploadSession(
            id=claims.session,
            volume=volume_of(self._volumes, claims.volume).name,
            folder=claims.vfid,
            destination=upload_path(claims.relpath),
            length=claims.size,
            expires=self._sessions.expiry,
            begun=self._clock.now(),
            metadata=metadata,
            reserved_bytes=claims.size,
            announced_sha256=whole_sha256(parse_metadata(metadata)),
        )

    def unnamed(self, claims: CollectionClaims, creation: Creation) -> UploadSession:
        """A new upload below the directory a token stands for, as it is before it has begun."""
        metadata = parse_metadata(creation.metadata)
        is_part = creation.concat is not None and creation.concat.parts is None
        return UploadSession(
            id=secrets.token_hex(16),
            volume=volume_of(self._volumes, claims.volume).name,
            folder=claims.vfid,
            destination=None if is_part else named_path(claims, metadata),
            length=creation.length,
            expires=self._sessions.expiry,
            begun=self._clock.now(),
            metadata=creation.metadata,
            owner=claims.owner,
            concat=creation.concat.text if creation.concat else "",
            parts=creation.concat.parts or () if creation.concat else (),
            reserved_bytes=creation.length or 0,
            unpack=not is_part and wants_unpacking(metadata),
            announced_sha256="" if is_part else whole_sha256(metadata),
        )


def check_claims(claims: UploadClaims | CollectionClaims, session: UploadSession) -> None:
    """See that a token is for an upload.

    Raises:
        NotFoundError (subject upload): it is for another one.
        UnauthenticatedError: it was past its time when the upload was begun.
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
    if claims.exp < session.begun:
        raise UnauthenticatedError("cannot decode the given value as JWT: Signature has expired")
    if session.state is UploadState.GONE:
        raise GoneError("expired or dropped", subject=Subject.UPLOAD)
