"""What goes into an archive, found by looking once."""

from __future__ import annotations

import stat
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from anyio.lowlevel import checkpoint

from backends.contract import Entry, EntryKind, FileStat, ReadAccess
from backends.walk import NOT_NOW
from domain.errors import (
    ConflictError,
    ErrorCode,
    ForbiddenError,
    InvalidPathError,
    NotFoundError,
    PenstockError,
    Subject,
    TooLargeError,
)
from domain.paths import STAGING_NAME, RelativePath
from gateway.archive.entries import Take

#: Entries of one directory that are gone through before others get their turn on the event loop.
_AT_ONCE: Final = 500

#: What is found wrong with one name, where `subject` says so.
OF_ONE_NAME: Final = (NotFoundError, ConflictError, InvalidPathError, ForbiddenError)

#: Makes a named tuple of a plain one, in a third of the time its own constructor takes.
_made: Final = tuple.__new__


class Member(NamedTuple):
    """One entry of an archive; there are very many of them. Made by `member_of`."""

    #: Its name there, with `/` between and, for directories, at the end.
    name: str
    #: Where its bytes are.
    path: RelativePath
    stat: FileStat
    #: Bytes of its contents.
    size: int
    #: Unix time of the last change, in whole seconds.
    modified: int
    #: For a link: where it leads, relative to its directory.
    target: str
    #: Bytes that are no file's, e.g. the list of what is missing.
    data: bytes | None


def member_of(
    name: str, path: RelativePath, known: FileStat, *, target: str = "", data: bytes | None = None
) -> Member:
    """A member as its stat, or its own bytes, make it."""
    kind, size, _, modified_ns, _, _ = known
    if data is not None:
        size = len(data)
    elif kind is not EntryKind.FILE:
        size = 0
    return _made(Member, (name, path, known, size, modified_ns // 1_000_000_000, target, data))


@dataclass(slots=True)
class Manifest:
    """Members in no order, and what was left out."""

    members: list[Member] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


class Gatherer:
    """Walks directories of one folder. Links are never followed.

    Args:
        most: members there may be, and entries besides that are left out.
        take: counts entries that were found.
    """

    def __init__(self, files: ReadAccess, most: int, take: Take) -> None:
        self._files = files
        self._most = most
        self._take = take
        self._found = Manifest()

    async def directory(self, path: RelativePath) -> Manifest:
        """Everything below a directory, named from there.

        Raises:
            NotFoundError, ConflictError: no directory there.
            TooLargeError: more members than may be.
            BusyError: as counting says.
        """
        await self._below(path, len(path.parts), await self._entries(path))
        return self._found

    async def selection(self, paths: Sequence[RelativePath]) -> Manifest:
        """Several files and directories, named from the folder's root.

        What is missing, or may not be reached, such as behind a link out of the folder, is told in the archive.

        Raises:
            NotFoundError: the folder is not there.
            TooLargeError: more members than may be.
        """
        last: RelativePath | None = None
        for path in sorted(set(paths), key=lambda item: item.parts):
            if last is not None and path.is_within(last):
                continue  # it comes with the directory it is in, which stands right before all that is in it
            try:
                if await self._one(path):
                    last = path
            except OF_ONE_NAME as error:
                if error.subject is not Subject.FILE or path.is_root:
                    raise
                self._tell("/".join(path.parts), _why(error))
        return self._found

    async def _one(self, path: RelativePath) -> bool:
        """Add what has this name; tells whether it is a directory."""
        known = await self._files.stat(path)
        if known.kind is EntryKind.DIRECTORY:
            await self._below(path, 0, await self._try_entries(path, 0))
        elif known.kind is EntryKind.FILE:
            if await self._forbidden(path.parent, [Entry(path.name, known)]):
                self._tell("/".join(path.parts), ErrorCode.FORBIDDEN)
            else:
                self._add(member_of("/".join(path.parts), path, known))
        else:
            self._tell("/".join(path.parts), "not a file")
        return known.kind is EntryKind.DIRECTORY

    async def _below(self, path: RelativePath, skip: int, entries: Sequence[Entry]) -> None:
        """Add what is in a directory. Not recursive: trees may be deeper than the call stack.

        Each directory is looked at when it is its turn: of all that wait only their names are in memory, and they
        count, for each of them becomes a member at least, or is told of.
        """
        waiting = list(await self._add_directory(path, skip, entries))
        while waiting:
            if len(self._found.members) + len(waiting) > self._most:
                raise self._too_many()
            directory = waiting.pop()
            waiting += await self._add_directory(directory, skip, await self._try_entries(directory, skip))

    async def _add_directory(
        self, directory: RelativePath, skip: int, entries: Sequence[Entry]
    ) -> Sequence[RelativePath]:
        """Add what is in a directory; returns the directories there."""
        if not entries and len(directory.parts) > skip:
            await self._add_empty(directory, skip)
        return await self._add_entries(directory, skip, entries)

    async def _add_empty(self, directory: RelativePath, skip: int) -> None:
        """Add a directory in which nothing was found, if it still is there."""
        name = "/".join(directory.parts[skip:])
        try:
            known = await self._files.stat(directory)
        except (NotFoundError, ConflictError) as error:
            if error.subject is not Subject.FILE:
                raise
            self._tell(name, "gone")
            return
        if known.kind is EntryKind.DIRECTORY:
            self._add(member_of(f"{name}/", directory, known))
        else:
            self._tell(name, "gone")

    async def _add_entries(
        self, directory: RelativePath, skip: int, entries: Sequence[Entry]
    ) -> Sequence[RelativePath]:
        """Add what is no directory; returns the others."""
        directories: list[RelativePath] = []
        for begin in range(0, len(entries), _AT_ONCE):
            if begin:
                await checkpoint()
            some = entries[begin : begin + _AT_ONCE]
            directories += self._add_all(directory, skip, some, await self._forbidden(directory, some))
        return directories

    async def _forbidden(self, directory: RelativePath, entries: Sequence[Entry]) -> Collection[str]:
        """Names of files in a directory that may not be read.

        What is told of them comes before an archive whose length is told, and which would break off there at each
        try. Of most files the mode says that everybody may read them; only the others are tried.
        """
        asked = [
            name
            for name, (kind, _, mode, _, _, _), _ in entries
            if kind is EntryKind.FILE and not mode & stat.S_IROTH
        ]
        return await self._files.forbidden(directory, asked) if asked else ()

    def _add_all(
        self, directory: RelativePath, skip: int, entries: Sequence[Entry], forbidden: Collection[str]
    ) -> Sequence[RelativePath]:
        directories: list[RelativePath] = []
        above = directory.parts
        prefix = "".join(f"{part}/" for part in above[skip:])
        for name, known, link_target in entries:
            below, kind = RelativePath((*above, name)), known.kind
            if name in forbidden:
                self._tell(f"{prefix}{name}", ErrorCode.FORBIDDEN)
            elif kind is EntryKind.FILE:
                self._add(member_of(prefix + name, below, known))
            elif kind is EntryKind.DIRECTORY:
                directories.append(below)
            elif kind is EntryKind.SYMLINK and link_target:
                self._add(member_of(prefix + name, below, known, target=link_target))
            else:
                self._tell(f"{prefix}{name}", "a link out of its directory, or no file")
        return directories

    async def _try_entries(self, path: RelativePath, skip: int) -> Sequence[Entry]:
        """What is in a directory; nothing if it cannot be looked at, or has gone."""
        try:
            return await self._entries(path)
        except (TooLargeError, *NOT_NOW):
            raise  # that says nothing of the directory
        except PenstockError as error:
            if path.is_root:
                raise
            if error.subject is not Subject.FILE or not isinstance(error, NotFoundError | ConflictError):
                self._tell("/".join(path.parts[skip:]), str(error.code))
            return ()

    async def _entries(self, path: RelativePath) -> Sequence[Entry]:
        listing = await self._files.listing(path, limit=self._most + 1)
        if listing.truncated or len(listing.entries) > self._most:
            raise self._too_many()
        self._take(len(listing.entries))
        return [entry for entry in listing.entries if not (path.is_root and entry.name == STAGING_NAME)]

    def _add(self, member: Member) -> None:
        if len(self._found.members) >= self._most:
            raise self._too_many()
        self._found.members.append(member)

    def _tell(self, name: str, why: str) -> None:
        if len(self._found.errors) >= self._most:
            raise self._too_many()
        self._found.errors.append(f"{name}: {why}")

    def _too_many(self) -> TooLargeError:
        return TooLargeError(f"more than {self._most} files", max_entries=self._most)


def _why(error: PenstockError) -> str:
    """Why something that was named is left out."""
    if isinstance(error, NotFoundError | ConflictError):
        return "not there"
    return error.message if isinstance(error, InvalidPathError) else error.code
