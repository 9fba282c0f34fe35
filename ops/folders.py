"""`penstock folders`: the catalogue."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from bus.contract import Bus
from bus.folder_pages import ListedFolder, folder_index, folder_page
from domain.ids import QuotaScopeId, VolumeName

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
