"""Small uploads that were begun, and all of which one request brings: put at their places in one step.

Such an upload has no staging and nobody takes its lease. What keeps two from it lies on the volume, which no
other host has: whoever puts it at its place shows that there first and looks for a staging then; whoever stores it
in the ordinary way makes its staging first and looks then (`settled`). So one of the two sees the other, and lets
it go on.

It is recorded as finished when the bus takes over what was written of it, a moment later; `Sessions.load` has that
done first where it matters.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeAlias

import anyio
from loguru import logger

from backends.contract import FileAccess, Volume
from backends.powers import Arrival, Outbox, Recovered, outboxes, places_whole
from bus.contract import Clock
from domain.errors import (
    BackendUnavailableError,
    BusBrokenError,
    BusClosedError,
    LockedError,
    PenstockError,
    QuotaExceededError,
    StorageFullError,
    Subject,
)
from domain.ids import VolumeName
from domain.recent import Recent
from gateway.uploads.placing import Placer
from gateway.uploads.session import UploadSession, UploadState
from gateway.uploads.sessions import UNRECORDED, Known, Sessions

#: For how long what is recorded of an upload is relied on, in seconds; less than a bar stands (`bar_whole`).
_FRESH_SECONDS: Final = 0.5
#: Uploads remembered at most; more than can be put at their places while one is relied on.
_REMEMBERED: Final = 10_000
#: How often it is looked whether somebody who is at it has come to an end, in seconds.
_LOOK_SECONDS: Final = 0.02


#: Tells of an upload of which nothing is recorded; None: there is none.
Unrecorded: TypeAlias = Callable[[], Known | None]


@dataclass(frozen=True, slots=True)
class Expected:
    """An upload of which no byte has come."""

    known: Known
    #: Monotonic time until which that may be relied on, in seconds.
    until: float


class AtOnce:
    """Uploads that come in one piece.

    Args:
        patience_seconds: how long somebody else who is at one is waited for.
    """

    def __init__(
        self,
        volumes: Mapping[VolumeName, Volume],
        files: Callable[[UploadSession], FileAccess],
        sessions: Sessions,
        placer: Placer,
        clock: Clock,
        patience_seconds: float,
    ) -> None:
        self._outboxes: dict[VolumeName, Outbox] = outboxes(volumes)
        self._files = files
        self._sessions = sessions
        self._placer = placer
        self._clock = clock
        self._patience = patience_seconds
        #: Those that were to be put at their places, whatever came of it: it is not tried again.
        self._claimed = Recent[str, None](_REMEMBERED)

    def takes(self, session: UploadSession) -> bool:
        """Whether an upload that is to begin may come like this."""
        return session.may_come_whole and session.volume in self._outboxes

    async def expected(self, session_id: str, size: int, unrecorded: Unrecorded) -> Expected | None:
        """An upload all of which a request brings; None if it is not known to be one.

        Args:
            unrecorded: tells of one of which nothing is recorded.

        Raises:
            UnreadableRecordError: a later release has recorded it.
        """
        if session_id in self._claimed:
            return None
        until = time.monotonic() + _FRESH_SECONDS
        known = await self._sessions.load(session_id) or unrecorded()
        is_one = known is not None and self._is_expected(known.session) and known.session.length == size
        return Expected(known, until) if known is not None and is_one else None

    async def untouched(self, session_id: str, volume: VolumeName, unrecorded: Unrecorded) -> Known | None:
        """An upload of which surely no byte has come, and that need not be recorded anew; None: it may be another.

        Args:
            unrecorded: as `expected` has it.

        Raises as `expected`, and PenstockError: the storage failed.
        """
        if volume not in self._outboxes:
            return None
        known = await self._sessions.load(session_id, volume) or unrecorded()
        if known is None or not self._is_expected(known.session) or self._sessions.is_behind(known):
            return None
        files = self._files(known.session)
        if not (places_whole(files) and await files.is_untouched(session_id)):
            return None
        # Of one that was finished between the two looks nothing is there either.
        now = await self._sessions.load(session_id, volume)
        return known if (UNRECORDED if now is None else now.revision) == known.revision else None

    def _is_expected(self, session: UploadSession) -> bool:
        """Whether it could be put at its place at once, going by its record."""
        return (
            self._outbox(session) is not None
            and session.may_come_whole
            and session.state is UploadState.OPEN
            and not (session.dropped or session.ended or session.announced_sha512)
            and session.floor is None
            and session.expires > self._clock.now()
        )

    def _outbox(self, session: UploadSession) -> Outbox | None:
        """The outbox of the volume of an upload that may be put at its place at once; None: it is none."""
        return self._outboxes.get(session.volume) if session.unstaged else None

    async def place(self, expected: Expected, data: bytes) -> UploadSession | None:
        """Make a file of an upload; None if that has to be done in the usual steps, and nothing is at its place.

        Raises:
            StorageFullError, BackendUnavailableError: no room, or no answer in time. It may be at its place all the
                same, and is told of later.
        """
        try:
            return await self._placer.place_begun(expected.known, data, partial(self._claim, expected))
        except (StorageFullError, BackendUnavailableError):
            raise
        except PenstockError:
            return None  # said again, in the right words, where it is done in the usual steps
        finally:
            self._claimed[expected.known.session.id] = None

    def _claim(self, expected: Expected) -> bool:
        """Whether an upload is still as it was expected, as far as that is known here; from then on it is not."""
        session_id = expected.known.session.id
        is_free = time.monotonic() <= expected.until and session_id not in self._claimed
        self._claimed[session_id] = None
        return is_free

    async def settled(self, known: Known) -> Known:
        """An upload that has a staging, as it is now that nobody puts it at its place at once any more.

        What somebody who died has put there is told of.

        Raises:
            LockedError: somebody is still at it, or it is at its place and cannot be told of now.
            NotFoundError (subject upload), GoneError: it is not there any more.
        """
        session = known.session
        outbox = self._outbox(session)
        if outbox is None:
            return known
        await self._ended(outbox, session, known)
        return await self._sessions.require(session.id, session.volume)

    async def _ended(self, outbox: Outbox, session: UploadSession, known: Known | None) -> None:
        """Return when nobody is at an upload any more. Raises LockedError as `settled`."""
        words = partial(self._words, session.volume, known)
        found = Recovered.BUSY
        with anyio.move_on_after(self._patience):
            while (found := await outbox.recover(session.id, words)) is Recovered.BUSY:
                await anyio.sleep(_LOOK_SECONDS)
        if found in (Recovered.BUSY, Recovered.UNTOLD):
            raise LockedError("another request is bringing the upload", subject=Subject.UPLOAD)

    async def bar(self, session: UploadSession) -> None:
        """Have nobody put an upload at its place at once; to be called before its staging goes."""
        files = self._files(session)
        if self._outbox(session) is None or not places_whole(files):
            return
        try:
            await files.bar_whole(session.id)
        except (StorageFullError, QuotaExceededError):
            # There is no room even for that. When this time is over nobody relies on what was so before.
            await anyio.sleep(_FRESH_SECONDS)

    async def end(self, session: UploadSession) -> None:
        """The same, and wait for who is at it; what that comes to is recorded then.

        Raises LockedError as `settled`.
        """
        outbox = self._outbox(session)
        if outbox is not None:
            await self.bar(session)
            await self._ended(outbox, session, await self._sessions.load(session.id))
            await self._sessions.settle(session.volume)

    async def recover(self) -> None:
        """Tell of all uploads whose gateway died when they were at their places, or remove what was not.

        Raises BusBrokenError, BusClosedError: the store is away.
        """
        for volume, outbox in self._outboxes.items():
            try:
                arriving = dict.fromkeys(await outbox.arriving())
                found = [await self._recovered(volume, outbox, session_id) for session_id in arriving]
            except (BusBrokenError, BusClosedError):
                raise
            except PenstockError as error:
                logger.warning("looking for uploads nobody told of on {}: {}", volume, error)
                continue
            if count := found.count(Recovered.ENDED):
                logger.info("{} uploads of a gateway that died were found on {}", count, volume)

    async def _recovered(self, volume: VolumeName, outbox: Outbox, session_id: str) -> Recovered:
        try:
            known = await self._sessions.load(session_id)
            return await outbox.recover(session_id, partial(self._words, volume, known))
        except (BackendUnavailableError, BusBrokenError, BusClosedError):
            raise  # it would be the same with all others
        except PenstockError as error:
            logger.warning("looking for upload {} on {}: {}", session_id, volume, error)
            return Recovered.BUSY

    def _words(self, volume: VolumeName, known: Known | None, arrival: Arrival) -> bytes:
        """What is told of a file of which its uploader never heard; empty if nothing is to be."""
        if known is not None and known.session.state is UploadState.COMMITTED:
            return b""
        return self._placer.words_of(volume, arrival, known)
