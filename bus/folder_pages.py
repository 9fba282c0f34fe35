"""Folders of the catalogue, page by page."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Final

from bus.contract import Catalogue
from domain.catalogue import (
    ALL_FOLDERS,
    FolderRecord,
    StatusRecord,
    UsageRecord,
    folder_record,
    owner_index,
    parse_folder_member,
    status_record,
    usage_record,
    volume_index,
)
from domain.ids import QuotaScopeId, VolumeName

_PAGE: Final = 500


@dataclass(frozen=True, slots=True)
class ListedFolder:
    """A folder, its usage if that is known, and why it cannot be used if it cannot."""

    folder: FolderRecord
    usage: UsageRecord | None
    status: StatusRecord | None = None


@dataclass(frozen=True, slots=True)
class FolderPage:
    """Some folders, and where the next page begins; None: there is none."""

    folders: Sequence[ListedFolder]
    cursor: str | None


def folder_index(volume: VolumeName | None, owner: QuotaScopeId | None) -> str:
    """The index of all folders, or of those of a volume or an owner."""
    if volume is not None:
        return volume_index(volume)
    return ALL_FOLDERS if owner is None else owner_index(owner)


async def folder_page(catalogue: Catalogue, index: str, *, cursor: str, limit: int) -> FolderPage:
    """Read the page that begins behind `cursor`."""
    members = await catalogue.page(index, after=cursor, limit=limit)
    found = [parse_folder_member(member) for member in members]
    infos = await catalogue.fields([folder_record(*pair) for pair in found])
    usages = await catalogue.fields([usage_record(*pair) for pair in found])
    statuses = await catalogue.fields([status_record(*pair) for pair in found])
    folders = [
        ListedFolder(
            FolderRecord.parse(member, info),
            UsageRecord.parse(usage) if usage else None,
            StatusRecord.parse(status) if status else None,
        )
        for member, info, usage, status in zip(members, infos, usages, statuses, strict=True)
        if info
    ]
    return FolderPage(folders, members[-1] if len(members) == limit else None)


async def list_folders(
    catalogue: Catalogue, volume: VolumeName | None, owner: QuotaScopeId | None
) -> AsyncIterator[ListedFolder]:
    """Folders of the catalogue: all, of a volume, or of an owner."""
    index = folder_index(volume, owner)
    cursor: str | None = ""
    while cursor is not None:
        page = await folder_page(catalogue, index, cursor=cursor, limit=_PAGE)
        for listed in page.folders:
            yield listed
        cursor = page.cursor
