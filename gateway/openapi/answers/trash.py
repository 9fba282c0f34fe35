"""Deleted folders."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from pydantic import Field

from gateway.openapi.answers.answer import Answer, FolderText


class DeletedFolder(Answer):
    """A folder that can be had back."""

    trash: UUID = Field(description="names this deletion: the folder may have been deleted more than once")
    vfid: FolderText
    deleted: datetime | None = Field(description="null: not known")


class TrashList(Answer):
    """A volume's deleted folders, the last one at the end."""

    items: list[DeletedFolder]
