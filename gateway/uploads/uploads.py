"""Making, finding, finishing and dropping uploads.

Every step may be the last of a killed process; whoever touches the upload next, or the sweeper, goes on from
what the shared record and the volume say. The event `file.uploaded` is appended in the same atomic step that
sets the record to `committed`, so it is there once.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Final
from uuid import UUID

from loguru import logger

from backends.contract import FileAccess, Volume
from bus.contract import Bus
from domain.envelope import Envelope, wrap_event
from domain.errors import ConflictError, InvalidPathError, NotFoundError, PenstockError, Subject, TooLargeError
from domain.events import FileUploaded
from domain.ids import VolumeName, derived_id
from domain.paths import ROOT, RelativePath
from gateway.observer import GatewayObserver
from gateway.quotas import Quotas
from gateway.settings import GatewaySettings
from gateway.tokens import UploadClaims
from gateway.uploads.session import UploadSession, UploadState
from gateway.uploads.writer import Writer

#: How soon the sweeper looks after an upload whose commit was begun, in seconds.
_COMMIT_SECONDS: Final = 10.0
#: How long a record outlives the moment its upload may be dropped, so that the sweeper surely sees it.
_GRACE_SECONDS: Final = 7 * 24 * 3600.0
#: A record is written anew only when its expiry moved by more than this, in seconds.
_SLIDE_SECONDS: Final = 30.0


class Uploads:
    """All uploads this gateway can touch."""

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
        self._patience = 2 * lease_seconds
        self._observer = observer

    # --- making and finding -----------------------------------------------------------------------

    async def create(self, claims: UploadClaims, metadata: str = "") -> UploadSession:
        """Begin the upload a token stands for; one that was begun before goes on.

        An empty file is there at once, for its uploader may never send a request with a body.

        Raises:
            TooLargeError: longer than any upload may be.
            QuotaExceededError, StorageFullError: no room.
            NotFoundError: no such volume or folder.
            InvalidPathError: nothing may be uploaded there.
        """
        if claims.size > self._settings.max_upload_bytes:
            raise TooLargeError(
                f"{claims.size} bytes are more than {self._settings.max_upload_bytes}",
                max_bytes=self._settings.max_upload_bytes,
            )
        session = self._fresh(claims, metadata)
        known = await self._known(session)
        if known is None:
            await self._files(session).stat(ROOT)  # the folder is there, or this raises
            await self._begin(session)
        else:
            session = known
        return await self.finish(session) if session.length == 0 else session

    async def _begin(self, session: UploadSession) -> None:
        await self._quotas.reserve(session)
        created = await self._bus.records.create(
            session.record, session.document(), keep_seconds=self._keep(session), due=session.expires
        )
        if not created:
            return
        try:
            await self._files(session).create_staging(
                session.id, destination=session.destination, length=session.length
            )
        except Exception:
            await self._bus.records.remove(session.record)
            await self._quotas.release(session)
            raise

    def _fresh(self, claims: UploadClaims, metadata: str) -> UploadSession:
        volume = volume_of(self._volumes, claims.volume)
        return UploadSession(
            id=claims.session,
            volume=volume.name,
            folder=claims.vfid,
            destination=upload_path(claims.relpath),
            length=claims.size,
            expires=self._expiry(),
            metadata=metadata,
        )

    async def find(self, claims: UploadClaims) -> UploadSession:
        """The upload a token stands for.

        Where Redis has lost the record but the volume still has the bytes, the record is made anew.

        Raises:
            NotFoundError (subject upload): dropped, or never begun.
        """
        session = self._fresh(claims, "")
        known = await self._known(session)
        if known is not None:
            return known
        await self._files(session).staged_bytes(session.id)
        await self._begin(session)
        return session

    async def _known(self, session: UploadSession) -> UploadSession | None:
        """The upload as it is recorded, if the token that describes it is really its own."""
        found = await self._load(session.id)
        if found is None:
            return None
        known = found[0]
        if (known.volume, known.folder, known.length) != (session.volume, session.folder, session.length):
            raise NotFoundError("not the token's upload", subject=Subject.UPLOAD)
        return known

    async def _require(self, session: str) -> tuple[UploadSession, int]:
        known = await self._load(session)
        if known is None:
            raise NotFoundError(f"{session}: not there", subject=Subject.UPLOAD)
        return known

    async def _load(self, session: str) -> tuple[UploadSession, int] | None:
        record = await self._bus.records.load(f"upload:{session}")
        return None if record is None else (UploadSession.parse(record.document), record.revision)

    # --- writing ----------------------------------------------------------------------------------

    @asynccontextmanager
    async def writing(self, session: UploadSession) -> AsyncIterator[Writer]:
        """Be the only writer of an upload; a writer on another connection is asked to let go.

        Raises:
            ConflictError: it did not let go in time.
            NotFoundError (subject upload): dropped meanwhile.
        """
        async with self._bus.leases.hold(session.record, wait_seconds=self._patience) as lease:
            current = await self._slide(session.id)
            if current.state is UploadState.COMMITTING:
                # Somebody died between the two; its staged bytes may have been renamed away already.
                current = await self.finish(current)
            if current.state is UploadState.COMMITTED:
                yield Writer(current, None, lease, self._observer)
                return
            staging = await self._files(current).open_staging(current.id)
            try:
                yield Writer(current, staging, lease, self._observer)
            finally:
                await staging.close()
            if self._outlives(current):
                await self._slide(current.id)

    def _outlives(self, session: UploadSession) -> bool:
        """Whether an upload that is being written is to be kept clearly longer than its record says."""
        return self._expiry() - session.expires > _SLIDE_SECONDS

    async def _slide(self, session_id: str) -> UploadSession:
        """The upload as it is now; one that is being written is kept for longer."""
        current, revision = await self._require(session_id)
        if current.state is UploadState.OPEN and self._outlives(current):
            kept = replace(current, expires=self._expiry())
            if await self._store(kept, revision, due=kept.expires):
                return kept
        return current

    # --- finishing --------------------------------------------------------------------------------

    async def finish(self, session: UploadSession, destination: RelativePath | None = None) -> UploadSession:
        """Make a file of a fully stored upload: durable, whole, told once. Repeat-safe, also by others at once.

        Raises:
            ConflictError (subject file): a directory is in the way; the upload stays as it is.
        """
        while True:
            current, revision = await self._require(session.id)
            if current.state is UploadState.COMMITTED:
                return current
            committing = await self._begin_commit(current, destination or current.destination)
            if committing is None:
                committing = replace(current, state=UploadState.COMMITTING)
            elif not await self._store(committing, revision, due=self._bus.clock.now() + _COMMIT_SECONDS):
                continue
            else:
                revision += 1
                committing = await self._rename(committing, revision)
            committed = replace(committing, state=UploadState.COMMITTED)
            event = self._event(committed)
            if await self._store(committed, revision, due=None, event=event):
                await self._quotas.release(committed)
                self._observer.uploaded(committed.volume)
                return committed

    async def _begin_commit(self, session: UploadSession, destination: RelativePath) -> UploadSession | None:
        """The session as it is to be recorded before the rename; None if the rename has happened already."""
        files = self._files(session)
        if session.state is UploadState.COMMITTING:
            try:
                await files.staged_bytes(session.id)
            except NotFoundError:
                return None
        try:
            replaced = (await files.stat(destination)).size_bytes
        except NotFoundError:
            replaced = None
        return replace(session, state=UploadState.COMMITTING, destination=destination, replaced_bytes=replaced)

    async def _rename(self, session: UploadSession, revision: int) -> UploadSession:
        try:
            done = await self._files(session).commit_staging(session.id, session.destination)
        except ConflictError:
            # Something stands in the way at the destination; the bytes stay, for another destination.
            await self._store(replace(session, state=UploadState.OPEN), revision, due=session.expires)
            raise
        except NotFoundError as error:
            if error.subject is not Subject.UPLOAD:
                raise
            return session  # another process was faster
        return replace(session, replaced_bytes=done.replaced_bytes)

    def _event(self, session: UploadSession) -> Envelope:
        event = FileUploaded(
            volume=session.volume,
            folder=session.folder,
            path=str(session.destination),
            size_bytes=session.length,
            replaced_bytes=session.replaced_bytes,
            session=session.id,
        )
        return wrap_event(event, id=derived_id(UUID(session.id), 0), time=self._bus.clock.now())

    async def _store(
        self, session: UploadSession, revision: int, *, due: float | None, event: Envelope | None = None
    ) -> bool:
        return await self._bus.records.replace(
            session.record,
            session.document(),
            revision=revision,
            keep_seconds=self._settings.finished_seconds if due is None else self._keep(session),
            due=due,
            event=event,
        )

    # --- dropping ---------------------------------------------------------------------------------

    async def drop(self, session: UploadSession) -> None:
        """Free an unfinished upload's bytes and forget it; a finished one is only forgotten. Repeat-safe."""
        async with self._bus.leases.hold(session.record, wait_seconds=self._patience):
            await self._drop(session)

    async def _drop(self, session: UploadSession) -> None:
        if session.state is not UploadState.COMMITTED:
            try:
                await self._files(session).discard_staging(session.id)
            except NotFoundError:
                logger.debug("the folder of upload {} is gone", session.id)
        await self._bus.records.remove(session.record)
        await self._quotas.release(session)

    async def sweep(self, limit: int) -> None:
        """Finish commits that were interrupted and drop uploads that expired, up to `limit` of them.

        One that is in use, or whose storage is away, waits for the next time.
        """
        for name in await self._bus.records.due("upload", before=self._bus.clock.now(), limit=limit):
            try:
                await self._sweep_one(name.partition(":")[2])
            except ConflictError:
                continue
            except PenstockError as error:
                logger.warning("looking after {}: {}", name, error)

    async def _sweep_one(self, session_id: str) -> None:
        # Not waiting also means not asking: a writer that is at work keeps its upload.
        async with self._bus.leases.hold(f"upload:{session_id}", wait_seconds=0):
            known = await self._load(session_id)
            if known is None:
                await self._bus.records.remove(f"upload:{session_id}")
            elif known[0].volume in self._volumes:
                session = known[0]
                if session.state is UploadState.COMMITTING:
                    await self.finish(session)
                elif session.state is UploadState.OPEN and session.expires <= self._bus.clock.now():
                    logger.info("upload {} expired", session.id)
                    await self._drop(session)

    # --- small things -----------------------------------------------------------------------------

    def _files(self, session: UploadSession) -> FileAccess:
        return self._volumes[session.volume].files(session.folder)

    def _expiry(self) -> float:
        return self._bus.clock.now() + self._settings.upload_seconds

    def _keep(self, session: UploadSession) -> float:
        return max(session.expires - self._bus.clock.now(), 0) + _GRACE_SECONDS


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
