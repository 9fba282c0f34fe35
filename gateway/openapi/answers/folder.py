"""Folders."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from domain.catalogue import FolderStatus
from gateway.openapi.answers.answer import Answer, Count, FolderText, ScopeText, left_out


class FolderState(Answer):
    """Whether a folder can be used."""

    status: FolderStatus
    reason: str | None = Field(description="why it cannot be used; null: it can")
    task_id: str | None = Field(description="the task that is at it; null: there is none")


class MountDetails(Answer):
    """What is told with `details`."""

    type: Literal["direct", "nfs", "fuse"] = left_out("with `details`: how the volume is mounted here")
    export: str = left_out("with `details`: what is mounted; empty: not known")
    options: str = left_out("with `details`: how it is mounted")
    subpath_path: str = left_out("with `details`: where the subpath is")
    subpath_exists: bool = left_out("with `details`: whether anything is there")
    subpath_is_directory: bool = left_out("with `details`: whether that is a directory")


class FolderMount(MountDetails):
    """Where agents find a folder."""

    path: str = Field(description="the folder itself, whatever the subpath is")


class FolderUsage(Answer):
    """What a folder holds, unfinished uploads included."""

    file_count: Count = Field(description="files, directories and links")
    used_bytes: Count = Field(description="sum of their sizes")


class FolderSpace(Answer):
    """The space a folder takes."""

    used_bytes: Count = Field(description="as `du` counts it")


class CountedFolder(Answer):
    """What a folder held when it was last counted."""

    used_bytes: Count
    files: Count
    age_seconds: float = Field(ge=0, description="how long ago that was")


class ListedFolder(Answer):
    """A folder of the catalogue."""

    volume: str
    vfid: FolderText
    owner: ScopeText | None = Field(description="its quota scope; null: it has none")
    status: FolderStatus
    reason: str | None
    mode: int | None = Field(description="permission bits it was made with; null: not known")
    created: float = Field(description="Unix time in seconds")
    usage: CountedFolder | None = Field(description="null: it was never counted")


class FolderPage(Answer):
    """Some folders of the catalogue."""

    items: list[ListedFolder]
    next_cursor: str | None = Field(description="`cursor` of the next page; null: this was the last")


class FolderFacts(MountDetails):
    """Where a folder is, and what it holds."""

    mount_path: str = Field(description="empty: it cannot be mounted")
    file_count: Count
    used_bytes: Count
    capacity_bytes: Count = Field(description="size of the volume's file system")
    fs_used_bytes: Count = Field(description="what is taken of that, by anyone")


class FolderItem(Answer):
    """One folder."""

    item: FolderFacts
