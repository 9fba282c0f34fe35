"""Making files of fully stored uploads.

Every step may be the last of a killed process; whoever touches the upload next, or the sweeper, goes on from what
the shared record and the volume say. The event `file.uploaded` is appended in the same atomic step that sets the
record to `committed`, so it is there once.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import replace
from uuid import UUID

from backends.contract import FileAccess
from bus.contract import Clock
from domain.envelope import Envelope, wrap_event
from domain.errors import ChecksumMismatchError, ConflictError, NotFoundError, Subject
from domain.events import FileUploaded
from domain.ids import derived_id
from domain.paths import RelativePath
from gateway.observer import GatewayObserver
from gateway.quotas import Quotas
from gateway.uploads.digesting import read_sha256
from gateway.uploads.session import UploadSession, UploadState
from gateway.uploads.sessions import Known, Sessions


class Finisher:
    """Commits uploads. Repeat-safe, also by several at once."""

    def __init__(
        self,
        sessions: Sessions,
        files: Callable[[UploadSession], FileAccess],
        quotas: Quotas,
        clock: Clock,
        observer: GatewayObserver,
        *,
        digests: bool,
    ) -> None:
        self._sessions = sessions
        self._files = files
        self._quotas = quotas
        self._clock = clock
        self._observer = observer
        #: Whether every file gets a digest, announced or not.
        self._digests = digests

    async def finish(
        self, known: Known, destination: RelativePath | None = None, sha256: bytes | None = None
    ) -> Known:
        """Make a file of a fully stored upload: durable, whole, told once.

        Args:
            destination: where the file is to be, if not where the upload was meant for.
            sha256: digest of all its bytes, if somebody has computed it.

        Raises:
            ConflictError (subject file): a directory is in the way; the upload stays as it is.
            ChecksumMismatchError: the file is not what was announced; the upload is dropped.
            QuotaExceededError: its owner's limit would be passed; the upload stays as it is.
        """
        while True:
            if known.session.state is UploadState.COMMITTED:
                return known
            done = await self._try(known, destination, sha256)
            if done is not None:
                return done
            known = await self._sessions.revive(known.session)

    async def _try(self, known: Known, destination: RelativePath | None, sha256: bytes | None) -> Known | None:
        """One try to finish; None if somebody else changed the record meanwhile."""
        session = known.session
        target = destination or session.destination
        assert target is not None, "a part becomes no file"
        if session.state is UploadState.COMMITTING and await self._is_renamed(session):
            return await self._commit(known, session)
        begun = await self._begin(known, target, sha256)
        return None if begun is None else await self._rename(begun, target)

    async def _is_renamed(self, session: UploadSession) -> bool:
        try:
            await self._files(session).staged_bytes(session.id)
        except NotFoundError:
            return True
        return False

    async def _begin(self, known: Known, target: RelativePath, sha256: bytes | None) -> Known | None:
        """Record what is going to happen, so that it can be told after a crash."""
        session = await self._digested(known.session, sha256)
        await self._quotas.confirm(session)
        try:
            replaced = (await self._files(session).stat(target)).size_bytes
        except NotFoundError:
            replaced = None
        begun = replace(session, state=UploadState.COMMITTING, destination=target, replaced_bytes=replaced)
        return await self._sessions.replace(known, begun)

    async def _digested(self, session: UploadSession, sha256: bytes | None) -> UploadSession:
        if session.sha256 or not (self._digests or session.announced_sha256):
            return session
        found = (sha256 or await self._read_sha256(session)).hex()
        if session.announced_sha256 and not hmac.compare_digest(found, session.announced_sha256):
            await self.discard(session)
            raise ChecksumMismatchError("the file is not the one its sha256 was announced of; it was dropped")
        return replace(session, sha256=found)

    async def _read_sha256(self, session: UploadSession) -> bytes:
        handle = await self._files(session).read_staging(session.id)
        try:
            return await read_sha256(handle)
        finally:
            await handle.close()

    async def _rename(self, begun: Known, target: RelativePath) -> Known | None:
        session = begun.session
        digest = bytes.fromhex(session.sha256) if session.sha256 else None
        try:
            done = await self._files(session).commit_staging(session.id, target, sha256=digest)
        except ConflictError:
            # Something stands in the way at the destination; the bytes stay, for another destination.
            await self._sessions.replace(begun, replace(session, state=UploadState.OPEN))
            raise
        except NotFoundError as error:
            if error.subject is not Subject.UPLOAD:
                raise
            return await self._commit(begun, session)  # another process was faster
        return await self._commit(begun, replace(session, replaced_bytes=done.replaced_bytes))

    async def _commit(self, known: Known, session: UploadSession) -> Known | None:
        committed = replace(session, state=UploadState.COMMITTED)
        done = await self._sessions.replace(known, committed, self._event(committed))
        if done is not None:
            await self._quotas.release(committed)
            self._observer.uploaded(committed.volume)
        return done

    def _event(self, session: UploadSession) -> Envelope:
        event = FileUploaded(
            volume=session.volume,
            folder=session.folder,
            path=str(session.destination),
            size_bytes=session.length or 0,
            replaced_bytes=session.replaced_bytes,
            session=session.id,
            sha256=session.sha256,
        )
        return wrap_event(event, id=derived_id(UUID(session.id), 0), time=self._clock.now())

    async def adopt(self, known: Known) -> Known | None:
        """Finish an upload at once whose announced content is at its destination already; None if it is not."""
        session = known.session
        if not session.announced_sha256 or session.destination is None:
            return None
        try:
            handle = await self._files(session).open_read(session.destination)
        except (NotFoundError, ConflictError):
            return None
        try:
            kept = await handle.sha256()
            size = handle.stat.size_bytes
        finally:
            await handle.close()
        if kept is None or kept.hex() != session.announced_sha256 or size != session.length:
            return None
        await self._files(session).discard_staging(session.id)
        return await self._commit(known, replace(session, sha256=session.announced_sha256, replaced_bytes=size))

    async def discard(self, session: UploadSession) -> None:
        """Free an unfinished upload's bytes, and remember that it is gone. Repeat-safe."""
        try:
            await self._files(session).discard_staging(session.id)
        except NotFoundError as error:
            if error.subject is Subject.VOLUME:
                raise
        await self._sessions.bury(session)
        await self._quotas.release(session)
