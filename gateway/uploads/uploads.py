"""All uploads a gateway can touch: writing, finishing, dropping, and looking after them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Final, TypeVar

from loguru import logger

from backends.contract import FileAccess, Volume
from bus.contract import Bus
from bus.relay import Relays
from domain.errors import GoneError, LockedError, NotFoundError, PenstockError
from domain.ids import VolumeName
from domain.paths import RelativePath
from gateway.archive.unpack import UnpackLimits
from gateway.observer import GatewayObserver
from gateway.protocol.tus import Accept
from gateway.quotas import Quotas
from gateway.settings import GatewaySettings
from gateway.tokens import CollectionClaims, UploadClaims
from gateway.transfer.receive import Body
from gateway.uploads.admission import Admission
from gateway.uploads.at_once import AtOnce, Expected
from gateway.uploads.beginning import Beginner
from gateway.uploads.comparing import ReadBody
from gateway.uploads.copying import Copier
from gateway.uploads.digesting import Digests
from gateway.uploads.finishing import Finisher
from gateway.uploads.growing import Reservations
from gateway.uploads.lost import LostRecords
from gateway.uploads.open_upload import OpenUpload
from gateway.uploads.opened import OpenUploads
from gateway.uploads.parts import Parts
from gateway.uploads.places import volume_of
from gateway.uploads.placing import Placer
from gateway.uploads.said import NOTHING_SAID, Said
from gateway.uploads.session import UploadSession, UploadState
from gateway.uploads.sessions import Known, Sessions
from gateway.uploads.staging import Stager
from gateway.uploads.sweeping import Sweep
from gateway.uploads.unpacking import Unpacker
from gateway.uploads.writer import YIELD_SECONDS, Writer

T = TypeVar("T")

#: How much longer than it may go on a writer may take to let go, in seconds.
_GIVING_WAY_SECONDS: Final = 0.5


class Uploads:
    """Uploads, by the tokens that stand for them."""

    def __init__(
        self,
        bus: Bus,
        volumes: Mapping[VolumeName, Volume],
        quotas: Quotas,
        relays: Relays,
        settings: GatewaySettings,
        lease_seconds: float,
        observer: GatewayObserver,
    ) -> None:
        self._bus = bus
        self._volumes = volumes
        self.sessions = Sessions(bus, relays, settings.upload_seconds, settings.finished_seconds)
        limits = UnpackLimits(settings.unpack_entries, settings.unpack_bytes, settings.unpack_ratio)
        unpacker = Unpacker(self._files, bus, quotas, limits, self.sessions)
        self._placer = Placer(
            self._files, self.sessions, quotas, relays, bus.clock, observer, digests=settings.upload_digests
        )
        patience = max(2 * lease_seconds, YIELD_SECONDS + _GIVING_WAY_SECONDS)
        self.at_once = AtOnce(volumes, self._files, self.sessions, self._placer, bus.clock, patience)
        self.finisher = Finisher(
            self.sessions,
            self._files,
            self.at_once,
            quotas,
            unpacker,
            bus.clock,
            observer,
            digests=settings.upload_digests,
        )
        stager = Stager(self._files, quotas)
        digests = Digests(enabled=settings.upload_digests)
        self.opened = OpenUploads(
            bus.leases,
            self.sessions,
            digests,
            self._files,
            stager.stage,
            self.at_once.settled,
            self.finisher.finish,
            patience,
        )
        reservations = Reservations(bus.leases, self.sessions, quotas)
        self._parts = Parts(
            self.sessions,
            self.opened,
            self.finisher,
            digests,
            quotas,
            reservations,
            self._files,
            settings.max_upload_bytes,
        )
        self.beginner = Beginner(
            volumes,
            settings,
            self.sessions,
            stager,
            self.finisher,
            self._parts,
            self.at_once,
            Admission(bus.leases, self.sessions, quotas, settings.uploads_per_owner),
        )
        self.lost = LostRecords(volumes, self.sessions, self.beginner)
        self.copier = Copier(volumes, bus.clock, self.beginner, self.opened, self.finisher)
        self._writer = Writer(self.sessions, reservations, observer, settings.write_bytes)
        self._sweep = Sweep(bus, volumes, self.sessions, self.finisher)

    async def create_whole(self, session: UploadSession, data: bytes) -> UploadSession:
        """Begin and finish an upload of `Beginner.unnamed` of which all bytes are there.

        Raises as `Placer.place`, and as `Beginner.create_whole`.
        """
        return await self.place_whole(session, data) or (await self.beginner.create_whole(session, data)).session

    async def place_whole(self, session: UploadSession, data: bytes) -> UploadSession | None:
        """The same in one step; None if it cannot be done so, and nothing is there. Raises as `Placer.place`."""
        return await self._placer.place(session, data)

    # --- using ------------------------------------------------------------------------------------

    @asynccontextmanager
    async def use(
        self, claims: UploadClaims | CollectionClaims, session_id: str, *, seen: bool = False
    ) -> AsyncIterator[OpenUpload]:
        """Be the only writer of an upload a token may use.

        Where Redis has lost the record but the volume still has the bytes, it is made anew.

        Args:
            seen: the claims were compared already, as far as somebody else has it in hand.

        Raises:
            NotFoundError (subject upload): never begun, or not the token's.
            GoneError: expired or dropped.
            LockedError: another writer did not let go in time, or has taken it over meanwhile.
        """
        volume = volume_of(self._volumes, claims.volume).name
        await self._see(claims, session_id, seen=seen)
        async with AsyncExitStack() as stack:
            try:
                opened = await stack.enter_async_context(self.opened.use(session_id, volume))
            except NotFoundError as error:
                if isinstance(error, GoneError):
                    raise
                await self.lost.recover(claims, session_id)
                opened = await stack.enter_async_context(self.opened.use(session_id, volume))
            self.beginner.check_claims(claims, opened.session)
            yield opened

    async def _see(self, claims: UploadClaims | CollectionClaims, session_id: str, *, seen: bool) -> None:
        """Compare claims with what is recorded: a token of somebody else takes an upload from nobody.

        Raises as `Beginner.check_claims`.
        """
        known = self.opened.kept_open(session_id)
        if known is None and not seen:
            known = await self.sessions.load(session_id)
        if known is not None:
            self.beginner.check_claims(claims, known.session)

    async def expected(
        self, claims: UploadClaims | CollectionClaims, session_id: str, size: int
    ) -> Expected | None:
        """An upload a token may use, and all of which a request brings; None: that has to be found out by `use`."""
        try:
            expected = await self.at_once.expected(session_id, size, partial(self.beginner.unrecorded, claims))
            if expected is not None:
                self.beginner.check_claims(claims, expected.known.session)
        except PenstockError:
            return None  # said again, in the right words, where it is used
        return expected

    async def untouched(self, claims: UploadClaims | CollectionClaims, session_id: str) -> Known | None:
        """An upload a token may use, of which no byte has come; None: it may be another. Raises as `look_up`."""
        volume = volume_of(self._volumes, claims.volume).name
        known = await self.at_once.untouched(session_id, volume, partial(self.beginner.unrecorded, claims))
        if known is not None:
            self.beginner.check_claims(claims, known.session)
        return known

    async def elsewhere(self, claims: UploadClaims | CollectionClaims, session_id: str) -> UploadSession | None:
        """An unfinished upload that another request has in hand; None: none has. Raises as `look_up`."""
        if not await self.opened.is_elsewhere(session_id):
            return None
        known = await self.sessions.load(session_id)
        if known is None:
            return None
        self.beginner.check_claims(claims, known.session)
        return known.session if known.session.state is UploadState.OPEN else None

    async def busy(
        self, claims: UploadClaims | CollectionClaims, session_id: str
    ) -> tuple[UploadSession, int | None] | None:
        """The same, and how far it is; None: that is not known. Raises as `elsewhere`."""
        session = await self.elsewhere(claims, session_id)
        return None if session is None else (session, await self._staged_bytes(session))

    async def _staged_bytes(self, session: UploadSession) -> int | None:
        if session.is_final or session.floor is not None:
            return session.floor
        try:
            return await self._files(session).staged_bytes(session.id)
        except NotFoundError:
            return None

    async def look_up(self, claims: UploadClaims | CollectionClaims, session_id: str) -> UploadSession:
        """What is recorded of an upload a token may use, whoever uses it now. Raises as `use`, but LockedError."""
        volume = volume_of(self._volumes, claims.volume).name
        known = await self.sessions.load(session_id, volume)
        if known is None:
            await self.lost.recover(claims, session_id)
            known = await self.sessions.require(session_id, volume)
        self.beginner.check_claims(claims, known.session)
        return known.session

    async def store(self, opened: OpenUpload, body: Body, accept: Accept, said: Said = NOTHING_SAID) -> None:
        """Store a request's body, and record what was said beside it. Raises as `Writer.store`."""
        await self._writer.store(opened, body, accept, said)

    async def pass_over(self, opened: OpenUpload, body: Body, work: Callable[[ReadBody], Awaitable[T]]) -> T:
        """Do something with a body that is not stored. Raises as `Writer.pass_over`."""
        return await self._writer.pass_over(opened, body, work)

    async def describe(self, opened: OpenUpload, said: Said) -> None:
        """Record what is said of an upload without a body. Raises FencedError."""
        if said and opened.staging is not None:
            await opened.change(self.sessions, **said)

    async def adopt(self, opened: OpenUpload) -> bool:
        """Finish an upload nothing was stored of, if its file is at its destination already."""
        known = await self.finisher.adopt(opened.known)
        if known is not None:
            opened.known, opened.is_dropped = known, True
        return known is not None

    async def end(self, opened: OpenUpload) -> None:
        """Record that an upload ends where its bytes do, because its client says so.

        Raises:
            QuotaExceededError: what is stored of it does not fit.
            FencedError: somebody else has the upload.
        """
        if opened.session.length is None:
            await self._writer.tell_length(opened, opened.offset or 0)
        if not opened.session.ended:
            await opened.change(self.sessions, ended=True)

    async def finish(
        self, opened: OpenUpload, destination: RelativePath | None = None, *, unpack: bool = False
    ) -> None:
        """Make a file of an upload if its last byte is stored; to be called when it is given back.

        Raises as `Finisher.finish`.
        """
        session = opened.session
        if session.is_part and opened.is_complete:
            await self._parts.complete(opened)
        elif session.is_final and session.state is UploadState.OPEN:
            opened.known = await self._parts.assemble(session.id) or opened.known
        elif opened.is_complete:
            sha256 = opened.digest.digest() if opened.digest is not None else None
            opened.known = await self.finisher.finish(
                opened.known, destination, sha256, opened.synced, unpack=unpack
            )

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

    async def terminate(self, claims: UploadClaims | CollectionClaims, session_id: str) -> None:
        """Drop an upload as `drop` does, but at once: who writes to it is not waited for. Raises as `use`."""
        session = await self.look_up(claims, session_id)
        if not await self.sessions.condemn(session_id):
            async with self.use(claims, session_id, seen=True) as opened:
                await self.drop(opened)
            return
        await self.opened.let_go(session_id)
        try:
            async with self.opened.hold(session_id):
                await self.finisher.discard(session)
        except LockedError as error:
            # Its storage stands still, or who wrote to it has died. Nobody finds it any more; the sweeper frees it.
            logger.warning("dropping upload {}: {}", session_id, error)

    async def sweep(self, limit: int) -> None:
        """Finish commits that were interrupted and drop uploads that expired, up to `limit` of them."""
        await self._sweep.sweep(limit)

    def _files(self, session: UploadSession) -> FileAccess:
        return self._volumes[session.volume].files(session.folder)
