"""Looking through folders."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from backends.contract import EntryKind, FileAccess, FileStat
from domain.errors import (
    BackendUnavailableError,
    BusyError,
    ConflictError,
    DeadlineExceededError,
    NotFoundError,
    PenstockError,
    Subject,
)
from domain.foreign_names import path_of
from domain.paths import ROOT, STAGING_NAME, RelativePath

_LIMIT: Final = 1 << 31
#: Errors that say nothing of what was to be read: the storage does not answer now.
NOT_NOW: Final = (BackendUnavailableError, BusyError, DeadlineExceededError)


async def walk_files(
    files: FileAccess, top: RelativePath = ROOT
) -> AsyncIterator[tuple[RelativePath, FileStat | PenstockError]]:
    """Every regular file below a directory; links are not followed, unfinished uploads left out.

    What vanishes meanwhile is left out as well. A directory that cannot be listed comes with what is wrong with it.

    Raises:
        NotFoundError: the folder is not there.
        BackendUnavailableError, BusyError, DeadlineExceededError: the storage does not answer now.
    """
    waiting = [top]
    while waiting:
        directory = waiting.pop()
        try:
            listing = await files.listing(directory, limit=_LIMIT)
        except (NotFoundError, ConflictError) as error:
            if error.subject is not Subject.FILE or directory == top:
                raise
            continue
        except NOT_NOW:
            raise
        except PenstockError as error:
            yield directory, error
            continue
        for entry in listing.entries:
            if directory.is_root and entry.name == STAGING_NAME:
                continue
            path = path_of((*directory.parts, entry.name))
            if entry.stat.kind is EntryKind.DIRECTORY:
                waiting.append(path)
            elif entry.stat.kind is EntryKind.FILE:
                yield path, entry.stat


async def is_directory(files: FileAccess, path: RelativePath) -> bool:
    """Whether a directory is there. Raises NotFoundError if not even the folder is."""
    try:
        return (await files.stat(path)).kind is EntryKind.DIRECTORY
    except NotFoundError as error:
        if error.subject is Subject.VFOLDER:
            raise
        return False
