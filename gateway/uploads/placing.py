"""Small uploads of which all bytes are there: put at their places and told of in one step of the volume."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import replace

from backends.contract import FileAccess, Tell
from backends.powers import Arrival, WholeUpload, places_whole
from bus.contract import Clock
from bus.emission import Emission
from bus.relay import Relays
from domain.errors import ChecksumMismatchError, NotFoundError
from domain.ids import VolumeName
from gateway.observer import GatewayObserver
from gateway.quotas import Quotas
from gateway.uploads.brief import Brief
from gateway.uploads.session import UploadSession, UploadState
from gateway.uploads.sessions import UNRECORDED, Known, Sessions
from gateway.uploads.uploaded import uploaded


class Placer:
    """Puts uploads at their places. What a process that dies leaves half done, `words_of` tells of."""

    def __init__(
        self,
        files: Callable[[UploadSession], FileAccess],
        sessions: Sessions,
        quotas: Quotas,
        relays: Relays,
        clock: Clock,
        observer: GatewayObserver,
        *,
        digests: bool,
    ) -> None:
        self._files = files
        self._sessions = sessions
        self._quotas = quotas
        self._relays = relays
        self._clock = clock
        self._observer = observer
        self._digests = digests

    async def place(self, session: UploadSession, data: bytes) -> UploadSession | None:
        """Make a file of an upload nobody knows of yet; None if that has to be done in the usual steps.

        Raises:
            ChecksumMismatchError: the file is not what was announced.
            StorageFullError, BackendUnavailableError: no room, or no answer in time. It may be at its place all the
                same, and is told of later.
        """
        if await self._is_limited(session):
            return None
        return await self._place(replace(session, reserved_bytes=0), data)

    async def place_begun(self, known: Known, data: bytes, claim: Callable[[], bool]) -> UploadSession | None:
        """The same with an upload that was begun; one that has not reserved its room must not be limited either.

        Args:
            claim: asked right before it is put at its place, on another thread; False: it is not to be any more.
        """
        has_room = known.session.judged and known.session.reserved_bytes >= len(data)
        if not has_room and await self._is_limited(known.session):
            return None
        return await self._place(known.session, data, known, claim)

    async def _place(
        self,
        session: UploadSession,
        data: bytes,
        known: Known | None = None,
        claim: Callable[[], bool] | None = None,
    ) -> UploadSession | None:
        files, path = self._files(session), session.destination
        if not places_whole(files) or path is None:
            return None
        done = replace(session, state=UploadState.COMMITTED, sha256=self._digest(session, data))
        told = Emission(uploaded(done, self._clock.now()), self._sessions.finished(done, known))
        tell: Tell[None] = Tell(lambda _: told.encode())
        upload = WholeUpload(
            session.id,
            data,
            path,
            note=Brief(session.folder, path).encode(),
            sha256=bytes.fromhex(done.sha256) if done.sha256 else None,
            claim=claim,
        )
        if not await files.place_whole(upload, tell):
            return None
        assert tell.place is not None, "what is placed is told of"
        self._relays.wake(session.volume, tell.place, told)
        self._observer.uploaded(session.volume)
        return done

    async def _is_limited(self, session: UploadSession) -> bool:
        """Whether room has to be reserved for it first; also where its scope is missing, and that is to be told."""
        try:
            return await self._quotas.is_limited(session)
        except NotFoundError:
            return True

    def _digest(self, session: UploadSession, data: bytes) -> str:
        if not (self._digests or session.announced_sha256):
            return ""
        found = hashlib.sha256(data).hexdigest()
        if session.announced_sha256 and not hmac.compare_digest(found, session.announced_sha256):
            raise ChecksumMismatchError("the file is not the one its sha256 was announced of; it was dropped")
        return found

    def words_of(self, volume: VolumeName, arrival: Arrival, known: Known | None) -> bytes:
        """What is told of a file of which its uploader never heard; empty if nobody can say what it was.

        Args:
            known: as it is recorded; None: it is not.
        """
        brief = Brief.decode(arrival.note)
        if brief is None:
            return b""
        known = known or Known(_unrecorded(volume, brief, arrival), UNRECORDED)
        sha256 = arrival.sha256.hex() if arrival.sha256 else ""
        done = replace(known.session, state=UploadState.COMMITTED, destination=brief.path, sha256=sha256)
        record = self._sessions.finished(done, known) if known.session.is_live else None
        # The host's clock, by which files have their times, may be ahead.
        return Emission(uploaded(done, min(arrival.time, self._clock.now())), record).encode()


def _unrecorded(volume: VolumeName, brief: Brief, arrival: Arrival) -> UploadSession:
    """An upload that came whole at once, as far as what is left of it tells."""
    return UploadSession(
        id=arrival.session,
        volume=volume,
        folder=brief.folder,
        destination=brief.path,
        length=arrival.size_bytes,
        expires=arrival.time,
        # Should somebody have recorded it meanwhile, because it was begun: that is counted no more.
        reserved_bytes=arrival.size_bytes,
    )
