"""Uploads whose folders are gone, and what else is counted that is none: it counts against nobody's limits."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from backends.contract import Volume
from bus.contract import Catalogue
from bus.index_pages import index_pages
from domain.catalogue import Unindex
from domain.errors import NotFoundError, PenstockError
from domain.ids import VFolderId, VolumeName
from domain.paths import ROOT
from domain.recent import Recent
from gateway.uploads.reserved import counted_out, is_counted_as
from gateway.uploads.session import UploadSession, UploadState
from gateway.uploads.sessions import Sessions

#: How soon the same uploads are looked through again, in seconds: whoever is refused may come again at once.
_AGAIN_SECONDS: Final = 5.0
#: Indexes remembered at most.
_REMEMBERED: Final = 1000


class Abandoned:
    """Finds them where somebody would be refused because of what is counted.

    An upload is not dropped by this: should its folder be restored, it goes on, and is judged anew when it ends.
    """

    def __init__(self, sessions: Sessions, catalogue: Catalogue, volumes: Mapping[VolumeName, Volume]) -> None:
        self._sessions = sessions
        self._catalogue = catalogue
        self._volumes = volumes
        #: When indexes were looked through last, in monotonic seconds.
        self._looked = Recent[str, float](_REMEMBERED)

    async def give_back(self, index: str) -> bool:
        """Count those members of an index no more that are over, or whose folders are gone; tells if any were.

        Args:
            index: its members begin with the ids of uploads, and end there or at a colon.
        """
        if not self._is_due(index):
            return False
        folders = dict[tuple[VolumeName, VFolderId], bool]()
        found = False
        async for members in index_pages(self._catalogue, index):
            for member in members:
                found |= await self._looked_at(index, member, folders)
        return found

    def _is_due(self, index: str) -> bool:
        now = time.monotonic()
        if now - self._looked.get(index, -_AGAIN_SECONDS) < _AGAIN_SECONDS:
            return False
        self._looked[index] = now
        return True

    async def _looked_at(self, index: str, member: str, folders: dict[tuple[VolumeName, VFolderId], bool]) -> bool:
        """Whether an upload was counted, and is not any more."""
        session_id = member.partition(":")[0]
        try:
            known = await self._sessions.load(session_id)
        except PenstockError:
            return False  # a later release knows what it means
        if known is None:
            return await self._sessions.count_out(session_id, [Unindex(index, member)])
        session = known.session
        if session.state in (UploadState.COMMITTED, UploadState.GONE) or not is_counted_as(session, member):
            # An upload that is changed at this moment may be counted like this again.
            return bool(await self._sessions.replace(known, session, changes=[Unindex(index, member)]))
        place = session.volume, session.folder
        if place not in folders:
            folders[place] = await self._is_gone(session)
        # Who put a whole together may have died before its parts were dropped.
        if not folders[place] and not await self._sessions.is_in_its_whole(session):
            return False
        uncounted = replace(session, reserved_bytes=0, judged=False, unpacked_bytes=0, admitted="")
        return bool(await self._sessions.replace(known, uncounted, changes=counted_out(session)))

    async def _is_gone(self, session: UploadSession) -> bool:
        """Whether a folder is not there; where that cannot be known now, it is taken to be there."""
        volume = self._volumes.get(session.volume)
        if volume is None:
            return False
        try:
            await volume.files(session.folder).stat(ROOT)
        except NotFoundError:
            return True
        except PenstockError:
            pass
        return False
