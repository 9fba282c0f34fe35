"""Files put together from uploads side by side (extension concatenation of tus 1.0.0)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from backends.contract import FileAccess, Staging
from bus.contract import Lease
from domain.errors import (
    ConflictError,
    FencedError,
    GoneError,
    InvalidRequestError,
    LockedError,
    NotFoundError,
    Subject,
    TooLargeError,
)
from gateway.quotas import Quotas
from gateway.uploads.digesting import Digests
from gateway.uploads.dropping import DropWatch
from gateway.uploads.finishing import Finisher
from gateway.uploads.growing import Reservations
from gateway.uploads.open_upload import OpenUpload
from gateway.uploads.opened import OpenUploads
from gateway.uploads.session import UploadSession, UploadState
from gateway.uploads.sessions import Known, Sessions

#: Bytes copied at once.
_COPY_BYTES: Final = 4 << 20


class Parts:
    """Puts final uploads together. Repeat-safe: a copy that was broken off goes on where it ended.

    Rules: one final upload waits for a part. One that is not there any more waits for nothing, whatever is still
    recorded of its parts. Who puts one together gives way to nobody but to who drops it: all others want the same.

    Args:
        max_bytes: the most a final upload may have.
    """

    def __init__(
        self,
        sessions: Sessions,
        opened: OpenUploads,
        finisher: Finisher,
        digests: Digests,
        quotas: Quotas,
        reservations: Reservations,
        files: Callable[[UploadSession], FileAccess],
        max_bytes: int,
    ) -> None:
        self._sessions = sessions
        self._opened = opened
        self._finisher = finisher
        self._digests = digests
        self._quotas = quotas
        self._reservations = reservations
        self._files = files
        self._max_bytes = max_bytes

    async def check(self, final: UploadSession) -> Known | None:
        """See that the parts of a final upload are there and may be used for it.

        Raises:
            InvalidRequestError: one is not there, is no part, or belongs to somebody else.
            ConflictError: another final upload waits for one.
            TooLargeError: they are more than any upload may have.

        Returns:
            The same final upload, if it was begun before, or is finished: its client has not heard of it, and asks
            again.
        """
        parts = await self._load(final)
        begun: Known | None = None
        for part in parts:
            begun = await self._whole_of(part, final) or begun
        self._check_size(sum(part.length or 0 for part in parts if part is not None))
        return begun

    async def _whole_of(self, part: UploadSession | None, final: UploadSession) -> Known | None:
        """The same final upload, if a part is in it, or it waits for that. Raises as `check`."""
        place = (final.owner, final.volume, final.folder)
        if part is None or (part.owner, part.volume, part.folder) != place or not part.is_part:
            raise _no_part()
        whole = await self._sessions.load(part.final) if part.final else None
        is_same = whole is not None and _is_same(whole.session, final)
        if whole is not None and is_same and whole.session.state is UploadState.COMMITTED:
            return whole
        if not part.is_live:
            raise _no_part()
        if whole is None or not whole.session.is_live:
            return None
        if not is_same:
            raise _taken()
        return whole

    async def _waiting_for(self, part: UploadSession) -> Known | None:
        """The final upload that waits for a part, if it is there."""
        known = await self._sessions.load(part.final) if part.final else None
        return known if known is not None and known.session.is_live else None

    def _check_size(self, total: int) -> None:
        if total > self._max_bytes:
            raise TooLargeError(f"{total} bytes are more than {self._max_bytes}", max_bytes=self._max_bytes)

    async def bind(self, final: UploadSession) -> None:
        """Have the parts know who waits for them. Raises ConflictError: another one was faster.

        They are bound in the order all use: of two that want the same ones, one gets them.
        """
        for part_id in sorted(set(final.parts)):
            while (known := await self._sessions.load(part_id)) is not None and known.session.final != final.id:
                if await self._waiting_for(known.session) is not None:
                    raise _taken()
                if await self._sessions.replace(known, replace(known.session, final=final.id)):
                    break

    async def complete(self, opened: OpenUpload) -> None:
        """Put together what waits for a part that is all there, unless somebody does, or has done so.

        Raises as `assemble`, and GoneError: the part was dropped.
        """
        try:
            # Who waits for it may have come while it was written.
            opened.known = await self._sessions.require(opened.session.id)
        except GoneError:
            if not await self._is_in_its_whole(opened.session.id):
                raise
            return
        if opened.session.final:
            await self._complete(opened.session)

    async def _complete(self, part: UploadSession) -> None:
        try:
            await self.assemble(part.final)
        except LockedError:
            return
        except NotFoundError:
            final = await self._sessions.load(part.final)
            if final is not None and not final.session.is_gone:
                raise
            await self._free(part)

    async def _is_in_its_whole(self, part_id: str) -> bool:
        """Whether a part is gone because what waited for it is finished."""
        part = await self._sessions.load(part_id)
        return part is not None and await self._sessions.is_in_its_whole(part.session)

    async def _free(self, part: UploadSession) -> None:
        """Have nobody wait for a part: who did is not there any more."""
        while (known := await self._sessions.load(part.id)) is not None and known.session.final == part.final:
            if await self._sessions.replace(known, replace(known.session, final="")):
                return

    async def length(self, final: UploadSession) -> int | None:
        """Length of the whole, if the lengths of all parts are known."""
        return _total(await self._load(final))

    async def assemble(self, final_id: str) -> Known | None:
        """Put a final upload together and finish it; None if parts are still missing.

        Raises:
            TooLargeError: the parts are more than any upload may have.
            LockedError: somebody else is putting it together.
            GoneError: it was dropped meanwhile.
            PenstockError: as `Finisher.finish`.
        """
        async with self._opened.use(final_id) as opened:
            parts = await self._load(opened.session)
            if opened.session.state is not UploadState.COMMITTED and not await self._put_together(opened, parts):
                return None
        # Also of one that was committed by a process that died then.
        for part in dict.fromkeys(parts):
            if part is not None and part.is_live and part.final == final_id:
                await self._finisher.discard(part)
        return opened.known

    async def _put_together(self, opened: OpenUpload, parts: Sequence[UploadSession | None]) -> bool:
        """Put an upload together, and leave nothing behind of one that somebody else has; as `_assembled`."""
        try:
            return await self._assembled(opened, parts)
        except (FencedError, LockedError):
            # Its place may have been made anew when it was at its destination already.
            if await self._sessions.is_finished(opened.session.id):
                await self._finisher.remove(opened.session)
            raise

    async def _assembled(self, opened: OpenUpload, parts: Sequence[UploadSession | None]) -> bool:
        """Put an upload together; False if parts are still missing."""
        final, total = opened.session, _total(parts)
        if total is None or not await self._are_complete(final, parts):
            return False
        self._check_size(total)
        await self._reserve(opened, parts, total)
        sha256 = await self._copy(opened, final)
        # What was dropped meanwhile has given its room back.
        await self._reserve(opened, await self._load(final), total)
        await opened.change(self._sessions, length=total)
        opened.known = await self._finisher.finish(opened.known, sha256=sha256)
        return True

    async def _reserve(self, opened: OpenUpload, parts: Sequence[UploadSession | None], total: int) -> None:
        """Have room for a whole that is more than its parts have reserved: one may come in it many times."""
        there = {part.id: part for part in parts if part is not None and part.is_live}
        more = total - sum(part.reserved_bytes for part in there.values())
        if more > opened.session.reserved_bytes:
            await self._reservations.change(opened, more)
        elif more > 0 or any(part.length_told for part in there.values()):  # maybe reserved, and not judged
            await self._quotas.judge(opened.session)

    async def _load(self, final: UploadSession) -> Sequence[UploadSession | None]:
        found = {part_id: await self._sessions.load(part_id) for part_id in dict.fromkeys(final.parts)}
        known = [found[part_id] for part_id in final.parts]
        return [None if one is None else one.session for one in known]

    async def _are_complete(self, final: UploadSession, parts: Sequence[UploadSession | None]) -> bool:
        files = self._files(final)
        for part in parts:
            if part is None or part.is_gone or part.floor is not None:
                return False
            try:
                if await files.staged_bytes(part.id) != part.length:
                    return False
            except NotFoundError:
                return False
        return True

    async def _copy(self, opened: OpenUpload, final: UploadSession) -> bytes | None:
        """Append what is missing of every part; returns the digest of the whole, if it was computed on the way."""
        files = self._files(final)
        assert final.destination is not None
        await files.create_staging(final.id, destination=final.destination, length=None)
        staging = await files.open_staging(final.id)
        try:
            hasher = self._digests.resume(final, staging)
            watch, begin = DropWatch(self._sessions, final.id), 0
            for part_id in final.parts:
                begin = await self._append(files, part_id, staging, begin, opened.lease, watch)
            return None if hasher is None else hasher.digest()
        finally:
            await staging.close()

    @staticmethod
    async def _append(
        files: FileAccess, part_id: str, staging: Staging, begin: int, lease: Lease, watch: DropWatch
    ) -> int:
        """Append a part that lies at `begin` of the whole; returns where it ends."""
        try:
            handle = await files.read_staging(part_id)
        except NotFoundError as error:
            if error.subject is not Subject.UPLOAD:
                raise
            raise LockedError("a part was dropped before it was copied", subject=Subject.UPLOAD) from error
        try:
            end = begin + handle.stat.size_bytes
            while staging.offset < end:
                await lease.confirm()
                await watch.look()
                piece = await handle.read(staging.offset - begin, _COPY_BYTES)
                if not piece:
                    raise LockedError("a part lost bytes while it was copied", subject=Subject.UPLOAD)
                await staging.append([piece])
            return end
        finally:
            await handle.close()


def _is_same(one: UploadSession, other: UploadSession) -> bool:
    """Whether two final uploads become the same file of the same parts."""
    return (one.parts, one.destination, one.unpack, one.announced_sha256) == (
        other.parts,
        other.destination,
        other.unpack,
        other.announced_sha256,
    )


def _no_part() -> InvalidRequestError:
    return InvalidRequestError("not an upload that can be a part of this one", field="Upload-Concat")


def _taken() -> ConflictError:
    return ConflictError("another final upload waits for one of its parts", subject=Subject.UPLOAD)


def _total(parts: Sequence[UploadSession | None]) -> int | None:
    """Length of all parts together; None: one is not there, or does not know its own."""
    total = 0
    for part in parts:
        if part is None or part.length is None:
            return None
        total += part.length
    return total
