"""What both fronts of tus do with an upload: tell how far it is, and store a request's body."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web

from domain.paths import RelativePath
from gateway.client.tus_answers import refusal, state_headers
from gateway.gate import Gate
from gateway.protocol import tus
from gateway.protocol.checksum import parse_checksum
from gateway.protocol.tus import Accept, Dialect, Refuse, UploadView
from gateway.tokens import CollectionClaims, UploadClaims
from gateway.transfer.receive import Body, BodyAtHand, RequestBody, ask_for_body
from gateway.uploads.open_upload import OpenUpload
from gateway.uploads.said import NOTHING_SAID, Said, intended
from gateway.uploads.session import UploadSession, UploadState
from gateway.uploads.sessions import Known


@dataclass(frozen=True, slots=True)
class Ending:
    """What a request says of how its upload ends, besides what was said when it began."""

    destination: RelativePath | None = None
    unpack: bool = False


_AS_BEGUN = Ending()


class UploadFlow:
    """Uploads as requests meet them."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._uploads = gate.uploads

    async def look(
        self, claims: UploadClaims | CollectionClaims, session_id: str, ending: Ending = _AS_BEGUN
    ) -> UploadView:
        """How far an upload is; one whose last byte is stored is finished first."""
        if ending == _AS_BEGUN and (known := await self._uploads.untouched(claims, session_id)) is not None:
            return await self.new(known)
        session = await self._uploads.elsewhere(claims, session_id)
        if session is not None and session.is_final:
            return await self._view(session, None)  # it is being put together
        async with self._uploads.use(claims, session_id, seen=True) as opened:
            pass
        await self._uploads.finish(opened, ending.destination, unpack=ending.unpack)
        return await self.view(opened)

    async def store(
        self,
        request: web.Request,
        claims: UploadClaims | CollectionClaims,
        session_id: str,
        dialect: Dialect,
        ending: Ending = _AS_BEGUN,
    ) -> web.Response:
        """Answer a PATCH whose head was checked."""
        data: bytes | None = None
        if ending == _AS_BEGUN and (size := tus.brings_size(request.headers)) is not None:
            done, data = await self._put_at_once(request, claims, session_id, size)
            if done is not None:
                return web.Response(status=204, headers=state_headers(finished_view(done), dialect))
        refused = await self._refused(request.headers, claims, session_id, dialect)
        if refused is not None:
            return refusal(refused)
        async with self._uploads.use(claims, session_id, seen=True) as opened:
            view = await self.view(opened)
            decision = tus.decide_patch(request.headers, view, dialect, self._gate.settings.max_upload_bytes)
            if isinstance(decision, Refuse):
                return refusal(decision)
            said = intended(opened.session, ending.destination, unpack=ending.unpack)
            await self.receive(request, opened, decision, said, data)
        await self._uploads.finish(opened, ending.destination, unpack=ending.unpack)
        view = await self.view(opened)
        return web.Response(status=204, headers=state_headers(view, dialect))

    async def _refused(
        self, fields: Mapping[str, str], claims: UploadClaims | CollectionClaims, session_id: str, dialect: Dialect
    ) -> Refuse | None:
        """Judge a PATCH by its head if another request has the upload in hand.

        One that would be refused takes it from nobody who is writing to it. Raises as `tus.decide_patch`, and as
        `Uploads.elsewhere`.
        """
        busy = await self._uploads.busy(claims, session_id)
        if busy is None:
            return None
        session, offset = busy
        view = await self._view(session, tus.read_offset(fields) if offset is None else offset)
        decision = tus.decide_patch(fields, view, dialect, self._gate.settings.max_upload_bytes)
        return decision if isinstance(decision, Refuse) else None

    async def keep(
        self,
        fields: Mapping[str, str],
        claims: UploadClaims | CollectionClaims,
        session_id: str,
        dialect: Dialect,
        data: bytes,
    ) -> None:
        """Store what came with a PATCH whose client hears no answer any more, unless it would be refused.

        Args:
            fields: of its head, which was checked.

        Raises:
            PenstockError: as `Uploads.use`, `Uploads.store` and `Uploads.finish`.
        """
        if await self._refused(fields, claims, session_id, dialect) is not None:
            return
        async with self._uploads.use(claims, session_id, seen=True) as opened:
            most = self._gate.settings.max_upload_bytes
            decision = tus.decide_patch(fields, await self.view(opened), dialect, most)
            if isinstance(decision, Refuse):
                return
            await self._uploads.store(opened, BodyAtHand(data), decision)
        await self._uploads.finish(opened)

    async def _put_at_once(
        self, request: web.Request, claims: UploadClaims | CollectionClaims, session_id: str, size: int
    ) -> tuple[UploadSession | None, bytes | None]:
        """Make a file of an upload all of which has come with a PATCH.

        Returns:
            It, if that could be done; and the body, if it was read.
        """
        expected = await self._uploads.expected(claims, session_id, size)
        if expected is None:
            return None, None
        data = RequestBody(request, self._gate.settings.idle_seconds).at_hand(tus.SMALL_BYTES)
        checksum = parse_checksum(request.headers)
        if data is None or (checksum is not None and not checksum.matches(data)):
            return None, data
        async with self.receiving(request, data):
            done = await self._uploads.at_once.place(expected, data)
        if done is not None:
            self._gate.observer.received(done.volume, size)
        return done, data

    async def store_first(
        self, request: web.Request, claims: CollectionClaims, session_id: str, accept: Accept
    ) -> UploadView:
        """Store the body of the POST that has begun an upload."""
        async with self._uploads.use(claims, session_id, seen=True) as opened:
            await self.receive(request, opened, accept)
        await self._uploads.finish(opened)
        return await self.view(opened)

    async def store_whole(self, request: web.Request, session: UploadSession, accept: Accept) -> UploadView:
        """Store an upload that comes in one small POST.

        It needs no lease: nobody hears of it before it is finished.
        """
        async with self.receiving(request) as body:
            pieces = list[bytes]()
            while piece := await body.read():
                pieces.append(piece)
            data = b"".join(pieces)
        if accept.checksum is not None:
            accept.checksum.check(data, 0)
        done = await self._uploads.create_whole(session, data)
        self._gate.observer.received(session.volume, len(data))
        return finished_view(done)

    async def new(self, known: Known) -> UploadView:
        """An upload nobody has heard of yet and no byte has come of, as the protocol sees it."""
        return await self._view(known.session, None if known.session.is_final else 0)

    async def view(self, opened: OpenUpload) -> UploadView:
        """An upload as the protocol sees it."""
        return await self._view(opened.session, opened.offset)

    async def _view(self, session: UploadSession, offset: int | None) -> UploadView:
        if session.state is UploadState.COMMITTED:
            return finished_view(session)
        return UploadView(
            offset=offset,
            length=await self._uploads.length(session),
            metadata=session.metadata,
            expires=session.expires,
            concat=session.concat,
            is_final=session.is_final,
        )

    async def receive(
        self,
        request: web.Request,
        opened: OpenUpload,
        accept: Accept,
        said: Said = NOTHING_SAID,
        data: bytes | None = None,
    ) -> None:
        """Store the body of a request, which may have been read already. Raises as `Uploads.store`."""
        async with self.receiving(request, data) as body:
            await self._uploads.store(opened, body, accept, said)

    @asynccontextmanager
    async def receiving(self, request: web.Request, data: bytes | None = None) -> AsyncIterator[Body]:
        """The body of a request, asked for unless it is there already, and counted as a transfer."""
        self._gate.observer.transferring("upload", 1)
        try:
            if data is None:
                await ask_for_body(request)
                yield RequestBody(request, self._gate.settings.idle_seconds)
            else:
                yield BodyAtHand(data)
        finally:
            self._gate.observer.transferring("upload", -1)


def finished_view(session: UploadSession) -> UploadView:
    """A finished upload as the protocol sees it."""
    return UploadView(
        offset=session.length,
        length=session.length,
        metadata=session.metadata,
        expires=None,
        concat=session.concat,
        is_final=session.is_final,
    )
