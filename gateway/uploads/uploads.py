"""All uploads a gateway can touch: beginning, writing, finishing, dropping, and looking after them."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Final

from loguru import logger

from backends.contract import FileAccess, Volume
from bus.contract import Bus
from domain.errors import (
    ConflictError,
    GoneError,
    InvalidPathError,
    InvalidRequestError,
    NotFoundError,
    PenstockError,
    Subject,
    TooLargeError,
    UnauthenticatedError,
)
from domain.ids import VFolderId, VolumeName
from domain.paths import ROOT, RelativePath
from gateway.archive.unpack import UnpackLimits
from gateway.observer import GatewayObserver
from gateway.protocol.metadata import file_name, parse_metadata, wants_unpacking, whole_sha256
from gateway.protocol.tus import Accept, Creation
from gateway.quotas import Quotas
from gateway.settings import GatewaySettings
from gateway.tokens import CollectionClaims, UploadClaims
from gateway.transfer.receive import Body
from gateway.uploads.copying import Copier
from gateway.uploads.digesting import Digests
from gateway.uploads.finishing import Finisher
from gateway.uploads.opened import OpenUpload, OpenUploads
from gateway.uploads.parts import Parts
from gateway.uploads.session import UploadSession, UploadState
from gateway.uploads.sessions import Known, Sessions
from gateway.uploads.unpacking import Unpacker
from gateway.uploads.writer import Writer

#: How long a copy that was broken off stays, in seconds.
_COPY_SECONDS: Final = 3600.0


@dataclass(frozen=True, slots=True)
class UploadSource:
    """A file to be copied."""

    folder: VFolderId
    path: RelativePath


class Uploads:
    """Uploads, by the tokens that stand for them."""

    def __init__(
        self,
        bus: Bus,
        volumes: Mapping[VolumeName, Volume],
        quotas: Quotas,
        settings: GatewaySettings,
        lease_seconds: float,
        observer: GatewayObserver,
    ) -> None:
        self._bus = bus
        self._volumes = volumes
        self._quotas = quotas
        self._settings = settings
        self.sessions = Sessions(bus, settings.upload_seconds, settings.finished_seconds)
        limits = UnpackLimits(settings.unpack_entries, settings.unpack_bytes, settings.unpack_ratio)
        unpacker = Unpacker(self._files, quotas, limits)
        self.finisher = Finisher(
            self.sessions, self._files, quotas, unpacker, bus.clock, observer, digests=settings.upload_digests
        )
        digests = Digests(enabled=settings.upload_digests)
        self.opened = OpenUploads(
            bus.leases,
            self.sessions,
            digests,
            self._files,
            self.finisher.finish,
            2 * lease_seconds,
            settings.upload_seconds,
        )
        self._parts = Parts(self.sessions, self.opened, self.finisher, digests, self._files)
        self._copier = Copier(self.opened, self.finisher)
        self._writer = Writer(self.sessions, quotas, observer, settings.write_bytes)

    # --- beginning --------------------------------------------------------------------------------

    async def create(self, claims: UploadClaims, metadata: str = "") -> Known:
        """Begin the upload a token stands for; one that was begun before goes on.

        An empty file is there at once, for its uploader may never send a request with a body.

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
        session = self._named(claims, metadata)
        known = await self.sessions.load(session.id)
        if known is None:
            await self._files(session).stat(ROOT)  # the folder is there, or this raises
            known = await self._begin(session)
        self._check(claims, known.session)
        return await self.finisher.finish(known) if known.session.length == 0 else known

    async def create_below(self, claims: CollectionClaims, creation: Creation) -> Known:
        """Begin a new upload below the directory a token stands for.

        Raises as `create`, and:
            InvalidRequestError: no name for the file, or parts that cannot be used.
            TooManyError: the token's owner has too many unfinished uploads.
        """
        session = self._unnamed(claims, creation)
        await self._files(session).stat(ROOT)
        if session.is_final:
            await self._parts.check(session)
        await self._quotas.admit(session, self._settings.uploads_per_owner)
        try:
            known = await self._begin(session)
        except Exception:
            await self._quotas.release(session)
            raise
        if session.is_final:
            await self._parts.bind(session)
            return await self._parts.assemble(session.id) or known
        if session.length == 0 and not session.is_part:
            return await self.finisher.finish(known)
        return await self.finisher.adopt(known) or known

    async def _begin(self, session: UploadSession) -> Known:
        await self._quotas.reserve(session)
        known = await self.sessions.create(session)
        if known is None:
            return await self.sessions.require(session.id)
        try:
            await self._files(session).create_staging(
                session.id, destination=session.destination or ROOT, length=session.length, note=session.note()
            )
        except Exception:
            await self.sessions.forget(session.id)
            await self._quotas.release(session)
            raise
        return known

    def _named(self, claims: UploadClaims, metadata: str) -> UploadSession:
        return UploadSession(
            id=claims.session,
            volume=volume_of(self._volumes, claims.volume).name,
            folder=claims.vfid,
            destination=upload_path(claims.relpath),
            length=claims.size,
            expires=self.sessions.expiry,
            begun=self._bus.clock.now(),
            metadata=metadata,
            reserved_bytes=claims.size,
            announced_sha256=whole_sha256(parse_metadata(metadata)),
        )

    def _unnamed(self, claims: CollectionClaims, creation: Creation) -> UploadSession:
        metadata = parse_metadata(creation.metadata)
        is_part = creation.concat is not None and creation.concat.parts is None
        return UploadSession(
            id=secrets.token_hex(16),
            volume=volume_of(self._volumes, claims.volume).name,
            folder=claims.vfid,
            destination=None if is_part else _below(claims, metadata),
            length=creation.length,
            expires=self.sessions.expiry,
            begun=self._bus.clock.now(),
            metadata=creation.metadata,
            owner=claims.owner,
            concat=creation.concat.text if creation.concat else "",
            parts=creation.concat.parts or () if creation.concat else (),
            reserved_bytes=creation.length or 0,
            unpack=not is_part and wants_unpacking(metadata),
            announced_sha256="" if is_part else whole_sha256(metadata),
        )

    # --- using ------------------------------------------------------------------------------------

    @asynccontextmanager
    async def use(self, claims: UploadClaims | CollectionClaims, session_id: str) -> AsyncIterator[OpenUpload]:
        """Be the only writer of an upload a token may use.

        Where Redis has lost the record but the volume still has the bytes, it is made anew.

        Raises:
            NotFoundError (subject upload): never begun, or not the token's.
            GoneError: expired or dropped.
            ConflictError: another writer did not let go in time.
        """
        volume_of(self._volumes, claims.volume)
        async with AsyncExitStack() as stack:
            try:
                opened = await stack.enter_async_context(self.opened.use(session_id))
            except NotFoundError as error:
                if isinstance(error, GoneError):
                    raise
                await self._recover(claims, session_id)
                opened = await stack.enter_async_context(self.opened.use(session_id))
            self._check(claims, opened.session)
            yield opened

    async def _recover(self, claims: UploadClaims | CollectionClaims, session_id: str) -> None:
        """Make a lost record anew: of what the token says, or of what is noted beside the bytes."""
        files = self._volumes[VolumeName(claims.volume)].files(claims.vfid)
        noted = _usable(UploadSession.from_note(await files.staging_note(session_id)), session_id)
        if isinstance(claims, UploadClaims):
            session = noted or self._named(claims, "")
        elif noted is None:
            raise NotFoundError("its record was lost", subject=Subject.UPLOAD)
        else:
            session = noted
        self._check(claims, session)
        await self._begin(replace(session, expires=self.sessions.expiry))

    @staticmethod
    def _check(claims: UploadClaims | CollectionClaims, session: UploadSession) -> None:
        """See that a token is for an upload."""
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

    async def store(self, opened: OpenUpload, body: Body, accept: Accept) -> None:
        """Store a request's body. Raises as `Writer.store`."""
        await self._writer.store(opened, body, accept)

    async def end_here(self, opened: OpenUpload) -> None:
        """Have an upload be as long as what is stored of it. Raises QuotaExceededError."""
        await self._writer.tell_length(opened, opened.offset or 0)

    async def finish(
        self, opened: OpenUpload, destination: RelativePath | None = None, *, unpack: bool = False
    ) -> Known:
        """Make a file of an upload if its last byte is stored; to be called when it is given back.

        Raises as `Finisher.finish`.
        """
        session = opened.session
        if not opened.is_complete and not session.is_final:
            return opened.known
        if session.is_part:
            # Who waits for it may have come while it was written.
            known = await self.sessions.require(session.id)
            if known.session.final:
                await self._parts.assemble(known.session.final)
            return known
        if session.is_final and session.state is UploadState.OPEN:
            return await self._parts.assemble(session.id) or opened.known
        sha256 = opened.digest.digest() if opened.digest is not None else None
        return await self.finisher.finish(opened.known, destination, sha256, unpack=unpack)

    async def copy(self, source: UploadSource, volume: VolumeName, folder: VFolderId, path: RelativePath) -> Known:
        """Copy a file to another place on its volume. A file there is replaced.

        Raises:
            NotFoundError, ConflictError: nothing to copy, or no place for it.
            QuotaExceededError, StorageFullError: no room.
        """
        handle = await self._volumes[volume].files(source.folder).open_read(source.path)
        try:
            session = UploadSession(
                id=secrets.token_hex(16),
                volume=volume,
                folder=folder,
                destination=path,
                length=handle.stat.size_bytes,
                expires=self._bus.clock.now() + _COPY_SECONDS,
                begun=self._bus.clock.now(),
                reserved_bytes=handle.stat.size_bytes,
            )
            await self._begin(session)
            try:
                return await self._copier.copy(session, handle)
            except PenstockError:
                await self.finisher.discard(session)
                raise
        finally:
            await handle.close()

    async def length(self, session: UploadSession) -> int | None:
        """Length of an upload, as far as it is known."""
        return await self._parts.length(session) if session.is_final else session.length

    # --- dropping ---------------------------------------------------------------------------------

    async def drop(self, opened: OpenUpload) -> None:
        """Free an unfinished upload's bytes and forget it; a finished one is only forgotten. Repeat-safe."""
        opened.is_dropped = True
        if opened.session.state is UploadState.COMMITTED:
            await self.sessions.bury(opened.session)
        else:
            await self.finisher.discard(opened.session)

    async def sweep(self, limit: int) -> None:
        """Finish commits that were interrupted and drop uploads that expired, up to `limit` of them.

        One that is in use, or whose storage is away, waits for the next time.
        """
        for session_id in await self.sessions.due(limit):
            try:
                await self._sweep_one(session_id)
            except ConflictError:
                continue
            except PenstockError as error:
                logger.warning("looking after upload {}: {}", session_id, error)

    async def _sweep_one(self, session_id: str) -> None:
        # Not waiting also means not asking: a writer that is at work keeps its upload.
        async with self._bus.leases.hold(f"upload:{session_id}", wait_seconds=0):
            known = await self.sessions.load(session_id)
            if known is None:
                await self.sessions.forget(session_id)
            elif known.session.volume in self._volumes:
                session = known.session
                if session.state is UploadState.COMMITTING:
                    await self.finisher.finish(known)
                elif session.state is UploadState.OPEN and session.expires <= self._bus.clock.now():
                    logger.info("upload {} expired", session.id)
                    await self.finisher.discard(session)

    def _files(self, session: UploadSession) -> FileAccess:
        return self._volumes[session.volume].files(session.folder)


def _usable(noted: UploadSession | None, session_id: str) -> UploadSession | None:
    """What a note says, as far as it may be believed: who mounts the folder could have written it."""
    if noted is None or noted.id != session_id or noted.state is not UploadState.OPEN:
        return None
    if noted.destination is not None and (noted.destination.is_root or noted.destination.is_reserved):
        return None
    return replace(noted, reserved_bytes=noted.length or 0, sha256="", floor=None)


def volume_of(volumes: Mapping[VolumeName, Volume], name: str) -> Volume:
    """Find a volume by the name a client gave.

    Raises:
        NotFoundError (subject volume): no such volume.
    """
    for known, volume in volumes.items():
        if known == name:
            return volume
    raise NotFoundError(name[:80], subject=Subject.VOLUME)


def upload_path(text: str, below: str | None = None) -> RelativePath:
    """Where an upload may end: a path in the folder, below a directory the request adds.

    Raises:
        InvalidPathError: the folder itself, a reserved place, or no path in it.
    """
    path = RelativePath.parse(below or "") / RelativePath.parse(text)
    if path.is_root or path.is_reserved:
        raise InvalidPathError("nothing can be uploaded there", subject=Subject.FILE, path=str(path))
    return path


def _below(claims: CollectionClaims, metadata: Mapping[str, str]) -> RelativePath:
    """Where the uploader wants its file, beneath the token's directory."""
    name = file_name(metadata)
    if name is None:
        raise InvalidRequestError("filename or relativePath is required", field="Upload-Metadata")
    base = RelativePath.parse(claims.relpath)
    path = upload_path(name, claims.relpath)
    if path == base or not path.is_within(base):
        raise InvalidPathError("it leads out of the token's directory", subject=Subject.FILE, path=name[:200])
    return path
