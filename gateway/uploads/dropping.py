"""Noticing that an upload is being dropped, or finished by others, for who works on it and hears of nobody."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Final

from anyio import from_thread

from domain.errors import GoneError, NotFoundError, PenstockError, Subject
from gateway.uploads.sessions import Sessions

#: How often it is looked, in seconds.
LOOK_SECONDS: Final = 1.0


class DropWatch:
    """Looks now and then whether anybody still wants an upload."""

    def __init__(self, sessions: Sessions, session_id: str) -> None:
        self._sessions = sessions
        self._session_id = session_id
        self._looked = time.monotonic()

    async def look(self) -> None:
        """Look if it is time to, at no cost if not. Raises GoneError: the upload is being dropped, or is gone."""
        if self._is_due:
            self._looked = time.monotonic()
            if await is_dropped(self._sessions, self._session_id):
                raise dropped()

    def look_from_thread(self) -> None:
        """The same, from a thread of the event loop."""
        if self._is_due:
            from_thread.run(self.look)

    async def look_for_others(self) -> None:
        """See that nobody else has finished the upload; to be called before something is put at its place.

        What is there now may be newer than the upload, for everybody was told that it is finished.

        Raises NotFoundError (subject upload): somebody has.
        """
        finished = False
        with suppress(PenstockError):  # where nobody can tell, nobody could have finished it either
            finished = await self._sessions.is_finished(self._session_id)
        if finished:
            raise NotFoundError("another request was faster", subject=Subject.UPLOAD)

    @property
    def _is_due(self) -> bool:
        return time.monotonic() - self._looked >= LOOK_SECONDS


async def is_dropped(sessions: Sessions, session_id: str) -> bool:
    """Whether an upload is being dropped, or is gone; False where that cannot be known now."""
    with suppress(PenstockError):
        return await sessions.is_gone(session_id)
    return False


def dropped() -> GoneError:
    """What a request is told whose upload was dropped meanwhile."""
    return GoneError("the upload was dropped", subject=Subject.UPLOAD)
