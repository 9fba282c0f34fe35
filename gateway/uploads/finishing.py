"""Making files of fully stored uploads.

Every step may be the last of a killed process; whoever touches the upload next, or the sweeper, goes on from what
the shared record and the volume say. The event `file.uploaded` is appended in the same atomic step that sets the
record to `committed`, so it is there once; that step also gives back what the upload had reserved.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from anyio import to_thread

from backends.contract import EntryKind, FileAccess, Synced
from backends.integrity import read_sha256
from bus.contract import Clock
from domain.errors import (
    ChecksumMismatchError,
    ConflictError,
    ForbiddenError,
    InvalidPathError,
    InvalidRequestError,
    LockedError,
    NotFoundError,
    PenstockError,
    Subject,
)
from domain.paths import RelativePath
from gateway.observer import GatewayObserver
from gateway.quotas import Quotas
from gateway.uploads.at_once import AtOnce
from gateway.uploads.reserved import counted_out
from gateway.uploads.session import UploadSession, UploadState
from gateway.uploads.sessions import Known, Sessions
from gateway.uploads.unpacking import Unpacker
from gateway.uploads.uploaded import uploaded

#: What keeps a file from its place for good: something stands in the way, or it may not be put there.
_NO_PLACE: Final = (ConflictError, ForbiddenError, InvalidPathError, NotFoundError)
#: Bytes read at once, where those of an upload are read once more.
_READ_BYTES: Final = 4 << 20


class Finisher:
    """Commits uploads. Repeat-safe, also by several at once."""

    def __init__(
        self,
        sessions: Sessions,
        files: Callable[[UploadSession], FileAccess],
        at_once: AtOnce,
        quotas: Quotas,
        unpacker: Unpacker,
        clock: Clock,
        observer: GatewayObserver,
        *,
        digests: bool,
    ) -> None:
        self._sessions = sessions
        self._files = files
        self._at_once = at_once
        self._quotas = quotas
        self._unpacker = unpacker
        self._clock = clock
        self._observer = observer
        #: Whether every file gets a digest, announced or not.
        self._digests = digests

    async def finish(
        self,
        known: Known,
        destination: RelativePath | None = None,
        sha256: bytes | None = None,
        synced: Synced | None = None,
        *,
        unpack: bool = False,
        compute: bool = True,
    ) -> Known:
        """Make a file of a fully stored upload: durable, whole, told once.

        Args:
            destination: where the file is to be, if not where the upload was meant for; who began to finish it has
                decided that.
            sha256: digest of all its bytes, if somebody has computed it.
            synced: all its bytes as they were just made durable for the recorded destination, if they were.
            unpack: it is an archive to be unpacked there.
            compute: read the bytes for a digest nobody has computed yet.

        Raises:
            ConflictError, NotFoundError, ForbiddenError, InvalidPathError (subject file): it cannot be put there;
                the upload stays as it is.
            ChecksumMismatchError: the file is not what was announced; the upload is dropped.
            QuotaExceededError: its owner's limit would be passed; the upload stays as it is.
            InvalidRequestError: it is to be unpacked, and no archive; likewise.

        Returns:
            The finished upload; one that a crash between two steps has left without all of its bytes is open again.
        """
        while True:
            if known.session.state is UploadState.COMMITTED:
                self._unpacker.forget(known.session)
                if unpack and not known.session.length:
                    message = "the archive was not unpacked: it is empty, and a file since its token was made"
                    raise InvalidRequestError(message, field="archive")
                return known
            done = await self._try(known, destination, sha256, synced, unpack=unpack, compute=compute)
            if done is not None:
                return done
            known, synced = await self._sessions.revive(known.session), None

    async def finish_whole(self, known: Known, data: bytes, synced: Synced) -> Known:
        """Like `finish`, where all bytes of the upload are at hand, and durable."""
        wanted = self._digests or known.session.announced_sha256
        return await self.finish(known, sha256=hashlib.sha256(data).digest() if wanted else None, synced=synced)

    async def _try(
        self,
        known: Known,
        destination: RelativePath | None,
        sha256: bytes | None,
        synced: Synced | None,
        *,
        unpack: bool,
        compute: bool,
    ) -> Known | None:
        """One try to finish; None if somebody else changed the record meanwhile."""
        session = known.session
        if session.state is UploadState.COMMITTING:
            # Who began to may have put it where the record says in this moment: nothing else is to be told of it.
            destination, unpack = None, session.unpack
            stored = await self._stored(session)
            if stored is None:
                return await self._commit_renamed(known, session)
            if stored != session.length:
                # Others may come in their place, so the digest is found anew.
                return await self._sessions.replace(known, replace(session, state=UploadState.OPEN, sha256=""))
        target = destination or session.destination
        assert target is not None, "a part becomes no file"
        unpack = unpack or session.unpack
        try:
            # The digest of an archive that is unpacked is of no use to anybody but to who has announced it.
            session = await self._digested(session, sha256, compute=compute and not unpack)
        except NotFoundError as error:
            if error.subject is not Subject.UPLOAD or not await self._has_changed(known):
                raise
            return None  # another process was faster, and has put its bytes away
        if unpack:
            return await self._unpack(known, replace(session, unpack=True, destination=target))
        begun = await self._begin(known, session, target, synced if target == session.destination else None)
        if begun is None:
            return None
        done = await self._rename(begun, target)
        if done is None:
            await self._begin_again(begun)
        return done

    async def _unpack(self, known: Known, session: UploadSession) -> Known | None:
        """Unpack an archive; then it takes the way of any upload, but for its own bytes, which are freed."""
        try:
            unpacked = await self._unpacker.unpack(session)
        except NotFoundError as error:
            if error.subject is not Subject.UPLOAD or not await self._has_changed(known):
                raise
            return None  # another process was faster, and has freed what this one was reading
        begun = await self._sessions.replace(
            known,
            replace(
                session,
                state=UploadState.COMMITTING,
                unpacked_files=unpacked.files,
                unpacked_bytes=unpacked.size_bytes,
            ),
        )
        if begun is None:
            return None
        await self._at_once.bar(session)
        await self._files(session).discard_staging(session.id)
        return await self._commit(begun, begun.session)

    async def _has_changed(self, known: Known) -> bool:
        now = await self._sessions.load(known.session.id)
        return now is not None and now.revision != known.revision

    async def _stored(self, session: UploadSession) -> int | None:
        """Bytes where they gather; None: they are at their destination already."""
        try:
            return await self._files(session).staged_bytes(session.id)
        except NotFoundError as error:
            if error.subject is not Subject.UPLOAD:
                raise
            return None

    async def _begin(
        self, known: Known, session: UploadSession, target: RelativePath, synced: Synced | None
    ) -> Known | None:
        """Record what is going to happen, so that it can be told after a crash.

        From then on an upload whose bytes are not where they gathered is one that was renamed: so they are durable
        there before, or a power failure would make a file of it that is not there.
        """
        await self._quotas.confirm(session)
        try:
            synced = synced or await self._files(session).sync_staging(session.id, target)
        except NotFoundError as error:
            is_open = session.state is UploadState.OPEN
            if error.subject is not Subject.UPLOAD or (is_open and not await self._has_changed(known)):
                raise
            return None  # another process is faster
        if synced.size_bytes != session.length:
            raise LockedError("some of its bytes are not there any more", subject=Subject.UPLOAD)
        begun = replace(
            session, state=UploadState.COMMITTING, destination=target, replaced_bytes=synced.replaced_bytes
        )
        return await self._sessions.replace(known, begun)

    async def _digested(self, session: UploadSession, sha256: bytes | None, *, compute: bool) -> UploadSession:
        if session.announced_sha512 and session.state is UploadState.OPEN:
            await self._compare(session, "sha-512", session.announced_sha512, await self._read_sha512(session))
        wanted = self._digests and (compute or sha256 is not None)
        if session.sha256 or not (wanted or session.announced_sha256):
            return session
        found = sha256 or await self._read_sha256(session)
        if session.announced_sha256:
            await self._compare(session, "sha-256", session.announced_sha256, found)
        return replace(session, sha256=found.hex())

    async def _compare(self, session: UploadSession, algorithm: str, announced: str, found: bytes) -> None:
        """Drop an upload that is another one than was announced. Raises ChecksumMismatchError."""
        if hmac.compare_digest(found.hex(), announced):
            return
        await self.discard(session)
        name = algorithm.replace("-", "")
        message = f"the file is not the one its {name} was announced of; it was dropped"
        raise ChecksumMismatchError(message, algorithm=algorithm, announced=announced)

    async def _read_sha256(self, session: UploadSession) -> bytes:
        handle = await self._files(session).read_staging(session.id)
        try:
            return await read_sha256(handle)
        finally:
            await handle.close()

    async def _read_sha512(self, session: UploadSession) -> bytes:
        handle = await self._files(session).read_staging(session.id)
        try:
            hasher, offset = hashlib.sha512(), 0
            while piece := await handle.read(offset, _READ_BYTES):
                offset += len(piece)
                await to_thread.run_sync(hasher.update, piece)
            return hasher.digest()
        finally:
            await handle.close()

    async def _rename(self, begun: Known, target: RelativePath) -> Known | None:
        session = begun.session
        digest = bytes.fromhex(session.sha256) if session.sha256 else None
        await self._at_once.bar(session)
        try:
            done = await self._files(session).commit_staging(session.id, target, sha256=digest)
        except PenstockError as error:
            if isinstance(error, NotFoundError) and error.subject is Subject.UPLOAD:
                return await self._commit_renamed(begun, session)  # another process was faster
            if isinstance(error, _NO_PLACE) and error.subject is Subject.FILE:
                await self._reopen(begun)
            raise
        return await self._commit(begun, replace(session, replaced_bytes=done.replaced_bytes))

    async def _begin_again(self, begun: Known) -> None:
        """Have it recorded once more that an upload is on its way to its place, where Redis has forgotten that."""
        known = await self._sessions.revive(begun.session)
        if known.session.state is UploadState.OPEN:
            await self._sessions.replace(known, replace(begun.session, reserved_bytes=known.session.reserved_bytes))

    async def _reopen(self, begun: Known) -> None:
        """Have bytes that did not get to their place stay, for another destination, or until they expire."""
        if await self._stored(begun.session) is not None:
            await self._sessions.replace(begun, replace(begun.session, state=UploadState.OPEN))

    async def _commit_renamed(self, known: Known, session: UploadSession) -> Known | None:
        """Tell of a file that somebody else has put at its place, and maybe not yet made durable there."""
        assert session.destination is not None, "a part becomes no file"
        await self._files(session).sync_names([session.destination])
        # What it replaced was looked up before, and another may have come in between.
        return await self._commit(known, session, recovered=known.session.state is UploadState.COMMITTING)

    async def _commit(self, known: Known, session: UploadSession, *, recovered: bool = False) -> Known | None:
        committed = replace(session, state=UploadState.COMMITTED)
        told = uploaded(committed, self._clock.now(), recovered=recovered)
        done = await self._sessions.replace(known, committed, told, counted_out(committed))
        if done is not None:
            self._unpacker.forget(committed)
            self._observer.uploaded(committed.volume)
        return done

    async def is_there(self, session: UploadSession) -> bool:
        """Whether the file an upload is announced to be is at its destination already."""
        if not session.announced_sha256 or session.destination is None or session.unpack:
            return False
        files = self._files(session)
        try:
            # A link is another file's name: what is uploaded takes its place.
            if (await files.stat(session.destination)).kind is not EntryKind.FILE:
                return False
            handle = await files.open_read(session.destination)
        except (NotFoundError, ConflictError):
            return False
        try:
            kept = await handle.sha256()
            size = handle.stat.size_bytes
        finally:
            await handle.close()
        return kept is not None and kept.hex() == session.announced_sha256 and size == session.length

    async def adopt(self, known: Known) -> Known | None:
        """Finish an upload at once whose file `is_there`; None if it is not."""
        session = known.session
        if not await self.is_there(session):
            return None
        await self._at_once.bar(session)
        await self._files(session).discard_staging(session.id)
        found = replace(session, sha256=session.announced_sha256, replaced_bytes=session.length)
        return await self._commit_renamed(known, found)

    async def discard(self, session: UploadSession) -> None:
        """Free an unfinished upload's bytes, and remember that it is gone. Repeat-safe. Raises as `free`."""
        await self._sessions.condemn(session.id)
        await self.free(session)
        await self._sessions.bury(session)

    async def expire(self, session: UploadSession) -> None:
        """The same, unless somebody is finishing it, or has done so in the end. Raises as `free`."""
        if not await self._sessions.condemn(session.id):
            return
        await self.free(session)
        known = await self._sessions.load(session.id)
        if known is not None and known.session.state is not UploadState.COMMITTED:
            await self._sessions.bury(session)

    async def free(self, session: UploadSession) -> None:
        """Free the bytes of an upload nobody is to use any more. Repeat-safe.

        Raises:
            LockedError: somebody is putting it at its place, and came to no end in time.
        """
        await self._at_once.end(session)
        await self.remove(session)

    async def remove(self, session: UploadSession) -> None:
        """Remove the bytes of an upload nobody knows of. Repeat-safe."""
        try:
            await self._files(session).discard_staging(session.id)
        except NotFoundError as error:
            if error.subject is Subject.VOLUME:
                raise
