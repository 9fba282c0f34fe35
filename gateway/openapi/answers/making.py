"""Directories that were to be made."""

from __future__ import annotations

from pydantic import Field

from gateway.openapi.answers.answer import Answer


class MadeDirectory(Answer):
    """One that is there now."""

    msg: None
    item: str


class UnmadeDirectory(Answer):
    """One that was not made."""

    msg: str = Field(description="why, in words")
    item: str


class MakingResults(Answer):
    """Every directory that was asked for."""

    success: list[MadeDirectory]
    failed: list[UnmadeDirectory]


class MadeDirectories(Answer):
    """What became of each."""

    results: MakingResults
