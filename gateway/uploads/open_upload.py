"""One upload in the hands of this gateway, and for how long it keeps others waiting."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from typing import Any, Final

import anyio
from loguru import logger

from backends.contract import Hasher, Staging, Synced
from backends.patience import Patience
from bus.contract import Lease
from domain.catalogue import Change
from domain.errors import FencedError, LockedError, PenstockError, Subject
from gateway.uploads.session import UploadSession, UploadState
from gateway.uploads.sessions import Known, Sessions

#: How long a sender may be silent, or the storage while an upload is opened, before another request of the same
#: upload is preferred, in seconds; and for how long the storage's answer to a call is waited for then.
SILENCE_SECONDS: Final = 1.0
CALL_SECONDS: Final = 0.3
#: Bytes of an upload that are copied at most to have them in a file nothing is done to late.
_RENEWED_BYTES: Final = 64 << 20
#: How long giving an upload back may take when its request was cancelled, in seconds.
_CLOSE_SECONDS: Final = 10.0


class OpenUpload:
    """One upload in the hands of this gateway.

    Rules: one request at a time; `known` is changed only by who uses it.
    """

    def __init__(
        self,
        known: Known,
        lease: Lease,
        staging: Staging | None,
        digest: Hasher | None,
        patience: Patience,
        stack: AsyncExitStack,
    ) -> None:
        self.known = known
        self.lease = lease
        #: How long the storage is waited for.
        self.patience = patience
        #: None: nothing can be written to it, because it is finished or put together from parts.
        self.staging = staging
        #: Has seen every byte stored so far; None: it has not.
        self.digest = digest
        #: Its bytes, once all of them are there and durable; None: that is not known.
        self.synced: Synced | None = None
        #: Nobody is to find it open again.
        self.is_dropped = False
        self.idle = anyio.CancelScope()
        self._stack = stack

    @property
    def session(self) -> UploadSession:
        """As it was last recorded."""
        return self.known.session

    @property
    def offset(self) -> int | None:
        """Bytes stored; all of them if it is finished. None: its parts are not all there."""
        if self.staging is not None:
            return self.staging.offset
        return self.session.length if self.session.state is UploadState.COMMITTED else None

    @property
    def is_complete(self) -> bool:
        """Whether the last byte is stored."""
        return self.offset is not None and self.offset == self.session.length

    async def change(
        self,
        sessions: Sessions,
        besides: Callable[[UploadSession], Sequence[Change]] = lambda _: (),
        /,
        **fields: Any,
    ) -> None:
        """Record changes of some fields, and in the same step of other things.

        Others change fields of their own without the lease, e.g. which upload waits for this part; and what this
        gateway has changed itself it may not have heard of.

        Args:
            besides: tells of what else is to change, by how the upload is recorded before.

        Raises:
            FencedError: it is not open any more, or somebody else has it.
        """
        while (
            changed := await sessions.replace(
                self.known,
                replace(self.session, **fields),
                changes=besides(self.session),
                lease=self.lease,
            )
        ) is None:
            self.known = await sessions.require(self.session.id)
            if self.session.state is not UploadState.OPEN:
                raise FencedError(f"upload {self.session.id} is {self.session.state}")
        self.known = changed

    async def keep(self, sessions: Sessions) -> None:
        """Have it be dropped no sooner than any upload of which a byte has just come.

        Raises FencedError: somebody else has it.
        """
        slid = await sessions.slide(self.known, self.lease)
        # What uses it may have changed it meanwhile.
        if slid.revision > self.known.revision:
            self.known = slid

    async def tell_stuck(self, sessions: Sessions, staging: Staging) -> None:
        """Take note, while nobody else has the upload, of what may yet be done to its bytes behind the floor.

        A write that is done late brings bytes its client sent for their place, and will send again. So it is seen
        to that they come to nothing only where little is to be copied for that.
        """
        floor = self.session.floor
        if floor is None and (floor := staging.offset) > _RENEWED_BYTES:
            return
        with suppress(PenstockError), anyio.move_on_after(_CLOSE_SECONDS, shield=True):
            await self.change(sessions, floor=floor, unsettled=True)

    async def close(self) -> None:
        """Give staging and lease back, whatever the storage says: what counts of it was stored before.

        One that hangs closes the staging when it answers again.
        """
        try:
            with anyio.move_on_after(_CLOSE_SECONDS, shield=True):
                await self._stack.aclose()
        except (PenstockError, OSError) as error:
            logger.warning("closing upload {}: {}", self.session.id, error)


def taken_over() -> LockedError:
    """What a request is told that had to let go of an upload: it may ask again how far that is."""
    return LockedError("another request has taken the upload over", subject=Subject.UPLOAD)
