"""The shared records of uploads."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Final

from bus.contract import FIRST_REVISION, Bus, Lease, Record
from bus.emission import EmittedRecord
from bus.relay import Relays
from domain.catalogue import Change
from domain.envelope import Envelope
from domain.errors import BusyError, GoneError, MalformedEventError, NotFoundError, Subject
from domain.ids import VolumeName
from gateway.uploads.reserved import counted_in, counted_out
from gateway.uploads.session import UploadSession, UploadState

#: Revision of an upload that is not recorded: its token tells all there is to tell.
UNRECORDED: Final = 0
#: How soon the sweeper looks after an upload whose commit was begun, in seconds.
_COMMIT_SECONDS: Final = 10.0
#: How long a record outlives the moment its upload may be dropped, so that the sweeper surely sees it.
_GRACE_SECONDS: Final = 7 * 24 * 3600.0
#: A record is written anew only when its expiry moved by more than this, in seconds, or by more than this part of
#: the time an upload is kept.
_SLIDE_SECONDS: Final = 30.0
_SLIDE_PART: Final = 0.1
#: When somebody may ask again for an upload whose record is not understood here, in seconds.
_UNREADABLE_SECONDS: Final = 10.0
#: When somebody may begin an upload again whose record was lost meanwhile, in seconds.
_FORGOTTEN_SECONDS: Final = 1.0
#: Names asked for first by who goes through all that are due, and how many more than twice those seen then.
_PAGE: Final = 1000


@dataclass(frozen=True, slots=True)
class Known:
    """An upload as it was recorded at one revision."""

    session: UploadSession
    revision: int


class Sessions:
    """Reads and writes records of uploads.

    Args:
        open_seconds: how long an upload is kept after its last byte.
        finished_seconds: how long one that is finished, or gone, can still be asked about.
    """

    def __init__(self, bus: Bus, relays: Relays, open_seconds: float, finished_seconds: float) -> None:
        self._records = bus.records
        self._relays = relays
        self._clock = bus.clock
        #: How long an upload is kept after its last byte.
        self.open_seconds = open_seconds
        #: How far the expiry of an upload that is used may be behind, in seconds.
        self.slack_seconds = min(_SLIDE_SECONDS, _SLIDE_PART * open_seconds)
        self._finished_seconds = finished_seconds

    @property
    def now(self) -> float:
        """Unix time, by the clock all gateways share."""
        return self._clock.now()

    @property
    def expiry(self) -> float:
        """When an upload that was just written to may be dropped (Unix time)."""
        return self._clock.now() + self.open_seconds

    async def create(self, session: UploadSession) -> Known | None:
        """Record a new upload, and count it in in the same step; None if there is another one of its id."""
        keep, due = self._times(session)
        new = Known(session, FIRST_REVISION)
        created = await self._records.create(
            session.record, session.document(), keep_seconds=keep, due=due, changes=counted_in(session)
        )
        # It may be there because it was made a moment ago, and the answer was lost.
        return new if created or await self.load(session.id) == new else None

    async def load(self, session_id: str, volume: VolumeName | None = None) -> Known | None:
        """Look one up.

        Args:
            volume: where it is, if it may have been put at its place at once: that is recorded when what the volume
                has of it is taken over. None: what is recorded is enough.

        Raises:
            UnreadableRecordError: a later release has recorded it, and knows what it means.
            PenstockError: the volume's storage failed.
        """
        if volume is not None:
            await self.settle(volume)
        record = await self._record(session_id)
        if record is None:
            return None
        try:
            return Known(UploadSession.parse(record.document), record.revision)
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise UnreadableRecordError(session_id) from error

    async def settle(self, volume: VolumeName) -> None:
        """Have everything recorded that was told on a volume before. Raises as `Relays.settle`."""
        await self._relays.settle(volume)

    async def _record(self, session_id: str) -> Record | None:
        try:
            return await self._records.load(f"upload:{session_id}")
        except MalformedEventError as error:
            raise UnreadableRecordError(session_id) from error

    async def require(self, session_id: str, volume: VolumeName | None = None) -> Known:
        """Look up one that is there. Raises as `load`, and:

        NotFoundError (subject upload): never heard of it.
        GoneError: it was there.
        """
        known = await self.load(session_id, volume)
        if known is None:
            raise NotFoundError(f"{session_id}: not there", subject=Subject.UPLOAD)
        if known.session.is_gone:
            raise GoneError(f"{session_id}: expired or dropped", subject=Subject.UPLOAD)
        return known

    async def revive(self, session: UploadSession) -> Known:
        """Look up one that was there a moment ago; where Redis has lost the record, it is made anew.

        Others may have taken its room meanwhile, so it is judged once more before it is finished.

        Raises:
            GoneError: somebody dropped it.
        """
        if await self.load(session.id) is None:
            await self.create(replace(session, length_told=True))
        return await self.require(session.id)

    async def replace(
        self,
        known: Known,
        session: UploadSession,
        event: Envelope | None = None,
        changes: Sequence[Change] = (),
        lease: Lease | None = None,
    ) -> Known | None:
        """Record a change, and in the same step an event and other changes; None if somebody else was faster.

        Args:
            lease: without which it may not be changed.

        Raises:
            FencedError: somebody else has it.
        """
        keep, due = self._times(session)
        if event is not None:
            await self.settle(session.volume)
        replaced = await self._records.replace(
            session.record,
            session.document(),
            revision=known.revision,
            keep_seconds=keep,
            due=due,
            event=event,
            changes=changes,
            lease=lease,
        )
        return Known(session, known.revision + 1) if replaced else None

    def finished(self, session: UploadSession, before: Known | None = None) -> EmittedRecord:
        """The record of an upload that was whole at once.

        Args:
            before: as it was begun; None: nobody has heard of it.
        """
        return EmittedRecord(
            session.record,
            session.document(),
            self._finished_seconds,
            before.revision if before is not None else UNRECORDED,
            counted_out(before.session) if before is not None else (),
        )

    async def slide(self, known: Known, lease: Lease | None = None) -> Known:
        """Keep an open upload for longer, if its record is clearly behind, and what it is put together with.

        Raises FencedError as `replace`.
        """
        if not self.is_behind(known):
            return known
        slid = await self.replace(known, replace(known.session, expires=self.expiry), lease=lease)
        if slid is None:
            return known
        await self._slide_others(slid.session)
        return slid

    async def _slide_others(self, session: UploadSession) -> None:
        """Keep the whole an upload is a part of, or the parts of a whole: they wait for each other."""
        others = session.parts if session.is_final else (session.final,) * bool(session.final)
        for other in dict.fromkeys(others):
            with suppress(UnreadableRecordError):
                known = await self.load(other)
                if known is not None and not known.session.is_gone:
                    await self.slide(known)

    def is_over(self, known: Known) -> bool:
        """Whether the time is over in which an upload could be used, though nobody has dropped it yet."""
        return known.session.state is UploadState.OPEN and known.session.expires <= self._clock.now()

    def is_behind(self, known: Known) -> bool:
        """Whether an upload that is used now would clearly be dropped too early."""
        is_open = known.session.state is UploadState.OPEN
        return is_open and self.expiry - known.session.expires > self.slack_seconds

    async def condemn(self, session_id: str) -> bool:
        """Record that an upload is being dropped, while somebody may still write to it; False if it is not open.

        From then on nobody finds it, and the sweeper frees what is left of it if nobody else does.
        """
        while (known := await self.load(session_id)) is not None and known.session.state is UploadState.OPEN:
            dropped = replace(known.session, dropped=True, expires=self._clock.now())
            if known.session.dropped or await self.replace(known, dropped):
                return True
        return False

    async def is_gone(self, session_id: str) -> bool:
        """Whether an upload somebody is at is being dropped, or is gone."""
        known = await self.load(session_id)
        return known is not None and known.session.is_gone

    async def is_finished(self, session_id: str) -> bool:
        """Whether an upload somebody is at was finished by others."""
        known = await self.load(session_id)
        return known is not None and known.session.state is UploadState.COMMITTED

    async def is_in_its_whole(self, part: UploadSession) -> bool:
        """Whether what a part is for is finished."""
        return bool(part.final) and await self.is_finished(part.final)

    async def bury(self, session: UploadSession) -> None:
        """Record that an upload is gone, whatever it was before, and count it no more."""
        while (known := await self.load(session.id)) is not None:
            gone = replace(known.session, state=UploadState.GONE, expires=self._clock.now())
            if await self.replace(known, gone, changes=counted_out(known.session)):
                return

    async def forget(self, session: UploadSession) -> None:
        """Drop a record, and count the upload no more."""
        await self._records.remove(session.record, counted_out(session))

    async def count_out(self, session_id: str, changes: Sequence[Change]) -> bool:
        """Count no more what is counted of an upload nothing is recorded of; False if something is now."""
        return await self._records.apply_without(f"upload:{session_id}", changes)

    async def settled(self, session_id: str) -> None:
        """Nobody has to look after an upload any more whose record is gone."""
        await self._records.remove(f"upload:{session_id}")

    async def due(self) -> AsyncGenerator[str]:
        """Ids of all uploads somebody has to look after now, the most urgent first; they may change meanwhile."""
        seen: set[str] = set()
        now = self._clock.now()
        while True:
            names = await self._records.due("upload", before=now, limit=2 * len(seen) + _PAGE)
            new = [name for name in names if name not in seen]
            if not new:
                return
            for name in new:
                seen.add(name)
                yield name.partition(":")[2]

    def _times(self, session: UploadSession) -> tuple[float, float | None]:
        """How long the record is kept, and when the sweeper is to look at it."""
        now = self._clock.now()
        match session.state:
            case UploadState.OPEN:
                return max(session.expires - now, 0) + _GRACE_SECONDS, session.expires
            case UploadState.COMMITTING:
                return max(session.expires - now, 0) + _GRACE_SECONDS, now + _COMMIT_SECONDS
            case UploadState.COMMITTED | UploadState.GONE:
                return self._finished_seconds, None


@contextmanager
def only_known_here() -> Iterator[None]:
    """Use an upload nobody has heard of: whose record is lost meanwhile, that was Redis, and it may be tried again.

    Raises BusyError: it was lost.
    """
    try:
        yield
    except GoneError:
        raise
    except NotFoundError as error:
        if error.subject is not Subject.UPLOAD:
            raise
        message = "what was recorded of the upload was lost"
        raise BusyError(message, retry_after_seconds=_FORGOTTEN_SECONDS) from error


class UnreadableRecordError(BusyError):
    """What is recorded of an upload means nothing to this release."""

    def __init__(self, session_id: str) -> None:
        message = f"{session_id}: recorded in a way that is not known here"
        super().__init__(message, retry_after_seconds=_UNREADABLE_SECONDS)
