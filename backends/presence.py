"""Whether folders are there."""

from __future__ import annotations

from backends.contract import Volume
from domain.errors import NotFoundError
from domain.ids import VFolderId
from domain.paths import ROOT


async def is_at_place(volume: Volume, folder: VFolderId) -> bool:
    """Whether a folder is at its place. Raises as `ReadAccess.stat`, where that cannot be told."""
    try:
        await volume.files(folder).stat(ROOT)
    except NotFoundError:
        return False
    return True
