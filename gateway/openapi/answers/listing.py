"""Directories."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from gateway.openapi.answers.answer import Answer, Count


class EntryStat(Answer):
    """What is known of an entry without reading it."""

    mode: Count = Field(description="type and permission bits")
    size: Count
    created: datetime = Field(description="last change of contents or attributes")
    modified: datetime = Field(description="last change of contents")


class DirectoryEntry(Answer):
    """A name in a directory."""

    name: str
    type: Literal["FILE", "DIRECTORY", "SYMLINK"]
    stat: EntryStat
    symlink_target: str = Field(description="where a link leads, relative to the directory; empty: out of it")


class DirectoryListing(Answer):
    """A directory's entries, in no order."""

    items: list[DirectoryEntry]
