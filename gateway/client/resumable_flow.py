"""What requests of the IETF's resumable uploads do with an upload: begin it, append to it, end it."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from functools import partial

from aiohttp import web

from backends.contract import Hasher
from domain.errors import (
    ChecksumMismatchError,
    ConflictError,
    LockedError,
    NotFoundError,
    PenstockError,
    Subject,
    TooLargeError,
)
from gateway.client.resumable_answers import DifferingBodyError, FinalError, is_complete, is_final
from gateway.client.upload_flow import UploadFlow
from gateway.gate import Gate
from gateway.protocol import resumable
from gateway.protocol.resumable import (
    Append,
    CompletedUploadError,
    ExceedingLengthError,
    InconsistentLengthError,
    MismatchingOffsetError,
)
from gateway.protocol.resumable_digests import SHA256, SHA512, WHOLE, ContentDigest, Digests, read_digests
from gateway.protocol.resumable_names import file_name
from gateway.protocol.tus import Accept, Creation
from gateway.tokens import CollectionClaims, UploadClaims
from gateway.transfer.receive import waits_to_be_asked
from gateway.uploads.comparing import read_through
from gateway.uploads.open_upload import OpenUpload
from gateway.uploads.said import NOTHING_SAID, Said, described
from gateway.uploads.session import UploadSession
from gateway.uploads.sessions import Known

Claims = UploadClaims | CollectionClaims


class ResumableFlow:
    """Uploads as requests meet them."""

    def __init__(self, gate: Gate) -> None:
        self._uploads = gate.uploads
        self._flow = UploadFlow(gate)
        self._max_bytes = gate.settings.max_upload_bytes

    # --- beginning --------------------------------------------------------------------------------

    async def begin(self, request: web.Request, claims: Claims, append: Append) -> Known:
        """Begin the upload a token stands for, which goes on if it has begun, or a new one below its directory.

        Raises:
            InvalidRequestError: the head makes no sense.
            PenstockError: as `Beginner.create` and `Beginner.begin_below`.
        """
        whole = read_digests(request.headers, WHOLE)
        if isinstance(claims, UploadClaims):
            resumable.length_with(append, claims.size, self._max_bytes)
            return await self._uploads.beginner.create(claims)
        # One of no bytes would be finished at once: its length is recorded with its body, as one told later.
        length = resumable.length_with(append, None, self._max_bytes) or None
        name = file_name(request.headers)
        metadata = f"filename {base64.b64encode(name.encode()).decode()}"
        creation = Creation(length, metadata, None, _hex(whole, SHA256), {"filename": name})
        session = self._uploads.beginner.unnamed(claims, creation)
        return await self._uploads.beginner.begin_below(replace(session, announced_sha512=_hex(whole, SHA512)))

    async def fill(self, request: web.Request, claims: Claims, session_id: str, append: Append) -> OpenUpload:
        """Store what the request that has begun an upload brings of it.

        Raises:
            MismatchingOffsetError: some of it is there already.
            FinalError, PenstockError: as `append`.
        """
        if isinstance(claims, UploadClaims) and append.brings_something:
            await self._leave_others_alone(claims, session_id, append)
        async with self._using(claims, session_id) as opened:
            if opened.offset or is_complete(opened):
                await self._meet_again(request, opened, append)
            else:
                whole = read_digests(request.headers, WHOLE)
                creation = Creation(opened.session.length, "", None, _hex(whole, SHA256))
                said = described(opened.session, creation, _hex(whole, SHA512))
                await self._store(request, opened, append, said)
        return await self._finished(opened) if append.complete else opened

    async def _meet_again(self, request: web.Request, opened: OpenUpload, append: Append) -> None:
        """Take a creation of which something is there already; its bytes are compared, and not stored."""
        if not append.brings_something:
            return
        if not is_complete(opened) or not append.complete:
            raise MismatchingOffsetError(opened.offset, append.offset)
        length, hasher = opened.session.length or 0, hashlib.sha256()
        size = await self._read(request, opened, append, length, hasher)
        if size != length:
            raise InconsistentLengthError(f"{size} bytes are not the {length} there are", field="Upload-Length")
        # Where no digest was kept it cannot be known whether they are the same.
        if length and hasher.hexdigest() != opened.session.sha256:
            raise CompletedUploadError("the upload is complete, and not known to have these bytes")

    async def undo(self, known: Known) -> None:
        """Take back an upload nobody can come back to."""
        await self._uploads.beginner.undo(known.session)

    # --- going on ---------------------------------------------------------------------------------

    async def look(self, claims: Claims, session_id: str) -> OpenUpload:
        """How far an upload is; one whose end was seen is finished first. Raises as `append`."""
        session = await self._uploads.elsewhere(claims, session_id)
        if session is not None:
            _check_kind(session)
        async with self._using(claims, session_id) as opened:
            pass
        return await self._finished(opened) if is_complete(opened) else opened

    async def drop(self, claims: Claims, session_id: str) -> None:
        """Drop an upload. Raises as `Uploads.terminate`, and NotFoundError: it is of another protocol."""
        _check_kind(await self._uploads.look_up(claims, session_id))
        await self._uploads.terminate(claims, session_id)

    async def append(self, request: web.Request, claims: Claims, session_id: str, append: Append) -> OpenUpload:
        """Store what a request brings of an upload, and make a file of it if that was the last of it.

        Raises:
            MismatchingOffsetError, InconsistentLengthError, CompletedUploadError: it does not fit.
            FinalError: all is there, and it cannot become a file.
            PenstockError: as `Uploads.use` and `Uploads.store`.
        """
        await self._leave_others_alone(claims, session_id, append)
        async with self._using(claims, session_id) as opened:
            if is_complete(opened):
                await self._repeat(request, opened, append)
            elif opened.offset != append.offset:
                raise MismatchingOffsetError(opened.offset, append.offset)
            else:
                await self._store(request, opened, append)
        return await self._finished(opened) if append.complete else opened

    async def _leave_others_alone(self, claims: Claims, session_id: str, append: Append) -> None:
        """Refuse at once what would be refused for its head: it takes the upload from nobody who writes to it.

        Raises:
            MismatchingOffsetError, InconsistentLengthError: it does not fit.
            PenstockError: as `Uploads.elsewhere`, and the upload is of another protocol.
        """
        busy = await self._uploads.busy(claims, session_id)
        if busy is None:
            return
        session, expected = busy
        _check_kind(session)
        if expected not in (None, append.offset):
            raise MismatchingOffsetError(expected, append.offset)
        # What is too long ends the upload, which has to be taken for that.
        with suppress(ExceedingLengthError):
            resumable.length_with(append, session.length, self._max_bytes)

    async def _repeat(self, request: web.Request, opened: OpenUpload, append: Append) -> None:
        """See that a request is the last append once more, whose answer was lost, or asks for that answer."""
        length, size = opened.session.length or 0, append.size
        if size is None:
            size = await self._read(request, opened, append, length)
        if append.complete and append.offset + size == length:
            if append.told not in (None, length):
                raise InconsistentLengthError(f"the length is {length}", field="Upload-Length", offset=length)
            is_unread = append.size is not None and not waits_to_be_asked(request)
            if append.digest is not None and is_unread:
                await self._read(request, opened, append, length)
            return
        if append.offset != length:
            raise MismatchingOffsetError(length, append.offset)
        if size == 0:
            raise CompletedUploadError("the upload is complete")
        raise InconsistentLengthError("the upload is complete", field="Upload-Length", offset=length)

    async def _read(
        self, request: web.Request, opened: OpenUpload, append: Append, most: int, *hashers: Hasher
    ) -> int:
        """Read a body that is not stored, until it is longer than `most`; returns its length.

        Raises:
            DifferingBodyError: it is another one than was announced.
            PenstockError: as `Uploads.pass_over`.
        """
        digest = append.digest
        compared = [] if digest is None else [digest.hasher()]
        work = partial(read_through, most=most, hashers=[*hashers, *compared])
        async with self._flow.receiving(request) as body:
            size = await self._uploads.pass_over(opened, body, work)
        if digest is not None and size <= most and compared[0].digest() != digest.digest:
            raise DifferingBodyError(digest, opened.session.length or 0)
        return size

    async def _store(
        self, request: web.Request, opened: OpenUpload, append: Append, said: Said = NOTHING_SAID
    ) -> None:
        """Store a body, and take note of the upload's length and end; one that would be too long is dropped."""
        known = length = opened.session.length
        try:
            length = resumable.length_with(append, known, self._max_bytes)
            told = length if known is None else None
            limit = (self._max_bytes if length is None else length) - append.offset
            accept = Accept(append.offset, limit, told, append.digest)
            await self._receive(request, opened, accept, {**said, **_ending(opened.session, append)})
        except ExceedingLengthError:
            await self._uploads.drop(opened)
            raise
        except TooLargeError as error:
            if length is None:
                raise
            await self._uploads.drop(opened)
            raise ExceedingLengthError(error.message, field="Upload-Length") from error
        if append.complete:
            await self._end(opened)

    async def _receive(self, request: web.Request, opened: OpenUpload, accept: Accept, said: Said) -> None:
        try:
            await self._flow.receive(request, opened, accept, said)
        except ChecksumMismatchError as error:
            assert isinstance(accept.checksum, ContentDigest), "nothing else was compared"
            raise DifferingBodyError(accept.checksum, accept.offset) from error
        except ConflictError as error:
            # What stands where the file is to be matters when the upload ends, and may be gone by then.
            if isinstance(error, LockedError) or not opened.is_complete:
                raise

    async def _end(self, opened: OpenUpload) -> None:
        if opened.session.length not in (None, opened.offset):
            message = f"{opened.offset} bytes are fewer than {opened.session.length}"
            raise InconsistentLengthError(message, field="Upload-Length", offset=opened.offset)
        await self._uploads.end(opened)

    async def _finished(self, opened: OpenUpload) -> OpenUpload:
        """Make a file of an upload whose end was seen."""
        try:
            await self._uploads.finish(opened)
        except PenstockError as error:
            if is_final(error):
                raise FinalError(error) from error
            raise
        return opened

    @asynccontextmanager
    async def _using(self, claims: Claims, session_id: str) -> AsyncIterator[OpenUpload]:
        """Be the only writer of an upload whose claims were compared already. Raises as `Uploads.use`."""
        async with self._uploads.use(claims, session_id, seen=True) as opened:
            _check_kind(opened.session)
            yield opened


def _check_kind(session: UploadSession) -> None:
    """See that an upload is of this protocol. Raises NotFoundError."""
    if session.is_part or session.is_final:
        # Parts, and what is put together from them, belong to another one.
        raise NotFoundError("not an upload of this protocol", subject=Subject.UPLOAD)


def _ending(session: UploadSession, append: Append) -> Said:
    """That the upload ends with a body whose length is known; not any more, if another body comes.

    So it is known if nothing is done after its last byte: some clients go by lengths, and do not say it again.
    """
    ends = append.complete and append.size is not None
    return {} if ends == session.ended else {"ended": ends}


def _hex(digests: Digests, algorithm: str) -> str:
    return digests.get(algorithm, b"").hex()
