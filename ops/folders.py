"""`penstock folders`: the catalogue, and rebuilding it from the volumes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

from backends.contract import Volume
from bus.contract import Bus
from bus.folder_pages import ListedFolder, folder_index, folder_page
from domain.catalogue import folder_member, folder_record, measured_usage, project, usage_record
from domain.envelope import wrap_event
from domain.errors import NotFoundError
from domain.events import VFolderCreated, VFolderDeleted
from domain.ids import QuotaScopeId, VFolderId, VolumeName
from domain.messages import Event
from domain.paths import ROOT

_PAGE: Final = 500


async def list_folders(
    bus: Bus, volume: VolumeName | None, owner: QuotaScopeId | None
) -> AsyncIterator[ListedFolder]:
    """Folders of the catalogue: all, of a volume, or of an owner."""
    index = folder_index(volume, owner)
    cursor: str | None = ""
    while cursor is not None:
        page = await folder_page(bus.catalogue, index, cursor=cursor, limit=_PAGE)
        for listed in page.folders:
            yield listed
        cursor = page.cursor


@dataclass(slots=True)
class Rebuilt:
    """What a rebuild found."""

    found: int = 0
    added: int = 0
    dropped: int = 0


async def rebuild(bus: Bus, volume: Volume, *, count: bool) -> Rebuilt:
    """Make the catalogue say what the volume holds: add what it misses, drop what is gone.

    Repeat-safe, and safe beside a running actor: what it does not touch it does not change.

    Args:
        count: count each folder's usage as well; takes as long as reading every directory does.
    """
    result = Rebuilt()
    seen: set[str] = set()
    async for folder in volume.folders():
        result.found += 1
        seen.add(folder_member(folder, volume.name))
        await _add(bus, volume, folder, result)
        if count:
            usage = await volume.usage(folder, staging=False)
            now = bus.clock.now()
            record = measured_usage(folder, volume.name, usage.file_bytes, usage.files, now)
            await bus.catalogue.apply([record])
    async for listed in list_folders(bus, volume.name, None):
        folder = listed.folder.folder
        if folder_member(folder, volume.name) not in seen and await _is_gone(volume, folder):
            await _apply(bus, VFolderDeleted(volume=volume.name, folder=folder, trash=bus.clock.new_id()))
            result.dropped += 1
    return result


async def _add(bus: Bus, volume: Volume, folder: VFolderId, result: Rebuilt) -> None:
    (known,) = await bus.catalogue.fields([folder_record(folder, volume.name)])
    if known:
        return
    stat = await volume.files(folder).stat(ROOT)
    # The event that made it is lost or never was; its projection is written without publishing it again.
    event = VFolderCreated(volume=volume.name, folder=folder, mode=stat.mode & 0o7777)
    changes = project(wrap_event(event, id=bus.clock.new_id(), time=stat.changed_ns / 1e9))
    without_usage = [
        change for change in changes if getattr(change, "record", "") != usage_record(folder, volume.name)
    ]
    await bus.catalogue.apply(without_usage)
    result.added += 1


async def _is_gone(volume: Volume, folder: VFolderId) -> bool:
    """Whether a folder that was not found at the walk is not there; it may have been made meanwhile."""
    try:
        await volume.files(folder).stat(ROOT)
    except NotFoundError:
        return True
    return False


async def _apply(bus: Bus, event: Event) -> None:
    await bus.catalogue.apply(project(wrap_event(event, id=bus.clock.new_id(), time=bus.clock.now())))
