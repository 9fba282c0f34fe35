"""Why a folder that was asked for is not at its place.

A folder nobody may use is not at its place, so the storage itself refuses, at once and for everybody; the catalogue
is asked only then, and only for words.
"""

from __future__ import annotations

from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from bus.contract import Catalogue
from domain.catalogue import FolderStatus, StatusRecord, status_record
from domain.errors import BusError, InvalidRequestError, LockedError, NotFoundError, Subject
from domain.ids import VFolderId, VolumeName

#: It will be there, here or elsewhere, if one waits.
_PASSING: Final = frozenset({FolderStatus.PERFORMING, FolderStatus.CLONING})


async def status_of(catalogue: Catalogue, folder: VFolderId, volume: VolumeName) -> StatusRecord | None:
    """Why a folder is not at its place; None: nobody knows of anything."""
    (fields,) = await catalogue.fields([status_record(folder, volume)])
    return StatusRecord.parse(fields) if fields is not None else None


def explaining(catalogue: Catalogue) -> Middleware:
    """Middleware that says why a folder is not found."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except NotFoundError as error:
            if error.subject is not Subject.VFOLDER:
                raise
            raise await explained(catalogue, error) from error

    return middleware


async def explained(catalogue: Catalogue, error: NotFoundError) -> NotFoundError | LockedError:
    """A folder's absence with the reason for it, where there is one."""
    volume = error.facts.get("volume")
    try:
        folder = VFolderId.parse(str(error.facts.get("path", "")))
        known = await status_of(catalogue, folder, VolumeName(str(volume))) if volume else None
    except (InvalidRequestError, BusError):
        return error
    if known is None:
        return error
    facts = {**error.facts, "status": known.status.value, "reason": known.reason, "task": known.task}
    if known.status in _PASSING:
        return LockedError(f"{folder}: {known.reason}", subject=Subject.VFOLDER, **facts)
    return NotFoundError(error.message, subject=Subject.VFOLDER, **facts)
