"""Beginning uploads of the tus collection, with as much of them as the request has.

Whatever is refused leaves nothing behind: its client is not told where it would be, so nobody could come back to
it.
"""

from __future__ import annotations

from functools import partial

from aiohttp import web

from domain.errors import ConflictError, InvalidRequestError, Subject
from gateway.client.upload_flow import UploadFlow
from gateway.gate import Gate
from gateway.protocol import tus
from gateway.protocol.metadata import wants_unpacking
from gateway.protocol.tus import Accept, Creation, UploadView
from gateway.tokens import CollectionClaims, UploadClaims
from gateway.transfer.receive import waits_to_be_asked
from gateway.uploads.beginning import NOTHING_TOLD
from gateway.uploads.comparing import compare
from gateway.uploads.open_upload import OpenUpload
from gateway.uploads.said import Said, described, with_said
from gateway.uploads.session import UploadState


class CreationFlow:
    """Creations as requests ask for them."""

    def __init__(self, gate: Gate) -> None:
        self._uploads = gate.uploads
        self._beginner = gate.uploads.beginner
        self._flow = UploadFlow(gate)

    async def begin(
        self,
        request: web.Request,
        claims: UploadClaims | CollectionClaims,
        creation: Creation,
        accept: Accept | None,
    ) -> tuple[str, UploadView]:
        """Begin an upload; tells its id, and how far it is.

        Args:
            accept: how the body is taken; None: there is none.
        """
        if isinstance(claims, UploadClaims):
            return claims.session, await self._begin_named(request, claims, creation, accept)
        session = self._beginner.unnamed(claims, creation)
        if await self._uploads.finisher.is_there(session):
            await self._pass_over(request, accept, session.announced_sha256)
            return session.id, await self._flow.new(await self._beginner.adopt(session))
        if accept is not None and self._is_small_and_whole(request, creation):
            return session.id, await self._flow.store_whole(request, session, accept)
        if creation.length == 0:
            await self._pass_over(request, accept, "")
            accept = None
        await self._uploads.lost.recover_parts(claims, session)
        known = await self._beginner.begin_below(session, bodiless=accept is None)
        if accept is None:
            return known.session.id, await self._flow.new(known)
        try:
            return session.id, await self._flow.store_first(request, claims, session.id, accept)
        except Exception:
            await self._beginner.undo(session)
            raise

    async def _begin_named(
        self, request: web.Request, claims: UploadClaims, creation: Creation, accept: Accept | None
    ) -> UploadView:
        """Begin the upload a token stands for; it goes on if it has begun."""
        if creation.concat is not None:
            raise InvalidRequestError("the token is for one upload in one piece", field="Upload-Concat")
        if creation.length != claims.size:
            length = "one that is told later" if creation.length is None else creation.length
            raise InvalidRequestError(f"the token is for {claims.size} bytes, not {length}", field="Upload-Length")
        # What is said beside a body that is compared first counts when the body does.
        is_compared = accept is not None and accept.checksum is not None
        await self._beginner.create(claims, NOTHING_TOLD if is_compared else creation)
        async with self._uploads.use(claims, claims.session, seen=True) as opened:
            said = described(opened.session, creation)
            adopted = opened.offset == 0 and await self._adopted(request, opened, said, accept)
            if opened.offset == 0 and accept is not None and not adopted:
                await self._flow.receive(request, opened, accept, said)
            elif opened.offset == 0 and not adopted:
                await self._uploads.describe(opened, said)
            elif accept is not None and opened.session.state is UploadState.COMMITTED and not adopted:
                await self._meet_again(request, opened, accept)
        await self._uploads.finish(opened)
        return await self._flow.view(opened)

    async def _meet_again(self, request: web.Request, opened: OpenUpload, accept: Accept) -> None:
        """See that a body is what the upload was finished with, as far as its digest was kept.

        Raises:
            ConflictError: it is not.
            PenstockError: as `compare`.
        """
        work = partial(compare, accept=accept, sha256="")
        async with self._flow.receiving(request) as body:
            found = await self._uploads.pass_over(opened, body, work)
        if opened.session.sha256 not in ("", found):
            raise ConflictError("the upload is finished, with other bytes", subject=Subject.UPLOAD)

    async def _adopted(self, request: web.Request, opened: OpenUpload, said: Said, accept: Accept | None) -> bool:
        """Whether an upload nothing is stored of could be finished, because its file is there already."""
        if opened.staging is None:
            return False
        session = with_said(opened.session, said)
        if not await self._uploads.finisher.is_there(session):
            return False
        await self._pass_over(request, accept, session.announced_sha256, opened)
        await self._uploads.describe(opened, said)
        return await self._uploads.adopt(opened)

    async def _pass_over(
        self, request: web.Request, accept: Accept | None, sha256: str, opened: OpenUpload | None = None
    ) -> None:
        """Compare a body whose bytes need not be stored; one that waits to be asked for is not asked for.

        Args:
            opened: the upload that somebody else may want meanwhile; None: nobody has heard of it.
        """
        if accept is None or waits_to_be_asked(request):
            return
        work = partial(compare, accept=accept, sha256=sha256)
        async with self._flow.receiving(request) as body:
            await (work(body.read) if opened is None else self._uploads.pass_over(opened, body, work))

    @staticmethod
    def _is_small_and_whole(request: web.Request, creation: Creation) -> bool:
        return tus.brings_all(request.headers, creation) and not wants_unpacking(creation.texts)
