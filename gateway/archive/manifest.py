"""What goes into an archive, found by looking once."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import msgpack
from anyio import to_thread

from backends.contract import Entry, EntryKind, FileAccess, FileStat
from domain.errors import ConflictError, NotFoundError, PenstockError, Subject, TooLargeError
from domain.paths import STAGING_NAME, RelativePath

#: Name of the member that tells what could not be put in.
ERRORS_NAME: Final = "_ERRORS.txt"
#: Entries of one directory that are few enough to be gone through on the event loop.
_AT_ONCE: Final = 200
#: Members of which a tag is computed in one go.
_ROWS: Final = 1000

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
    """Members in the order of their names, and what was left out."""

    members: list[Member] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def tag(self, salt: str) -> str:
        """Text that changes with anything that would change the archive's bytes. Takes its time."""
        digest = hashlib.sha256(salt.encode())
        for start in range(0, len(self.members), _ROWS):
            rows = [
                (name, size, modified_ns, identity, mode, target, data)
                for name, _, (_, _, mode, modified_ns, _, identity), size, _, target, data in self.members[
                    start : start + _ROWS
                ]
            ]
            digest.update(msgpack.packb(rows, unicode_errors="surrogateescape"))
        return digest.hexdigest()[:32]

    @property
    def modified(self) -> int:
        """Unix time of the last change of any member."""
        return max((member.modified for member in self.members), default=0)


def errors_member(errors: Sequence[str], modified_ns: int) -> Member:
    """The member that tells what could not be put in."""
    data = "".join(f"{line}\n" for line in errors).encode("utf-8", "surrogateescape")
    known = FileStat(EntryKind.FILE, len(data), 0o100644, modified_ns, modified_ns, 0)
    return member_of(ERRORS_NAME, RelativePath(()), known, data=data)


class Gatherer:
    """Walks directories of one folder. Links are never followed.

    Args:
        most: members there may be.
    """

    def __init__(self, files: FileAccess, most: int) -> None:
        self._files = files
        self._most = most
        self._found = Manifest()

    async def directory(self, path: RelativePath) -> Manifest:
        """Everything below a directory, named from there.

        Raises:
            NotFoundError, ConflictError: no directory there.
            TooLargeError: more members than may be.
        """
        await self._below(path, len(path.parts), await self._entries(path))
        return await to_thread.run_sync(self._finished)

    async def selection(self, paths: Sequence[RelativePath]) -> Manifest:
        """Several files and directories, named from the folder's root; what is missing is told in the archive.

        Raises:
            NotFoundError: the folder is not there.
            TooLargeError: more members than may be.
        """
        for path in sorted(set(paths), key=lambda item: item.parts):
            if any(path != other and path.is_within(other) for other in paths):
                continue  # it comes with the directory it is in
            try:
                await self._one(path)
            except (NotFoundError, ConflictError) as error:
                if error.subject is not Subject.FILE:
                    raise
                self._found.errors.append(f"{path}: not there")
        return await to_thread.run_sync(self._finished)

    async def _one(self, path: RelativePath) -> None:
        known = await self._files.stat(path)
        if known.kind is EntryKind.DIRECTORY:
            await self._below(path, 0, await self._entries(path))
        elif known.kind is EntryKind.FILE:
            self._add(member_of("/".join(path.parts), path, known))
        else:
            self._found.errors.append(f"{path}: not a file")

    def _finished(self) -> Manifest:
        found = self._found
        found.members.sort(key=lambda member: member.name)
        if found.errors:
            found.members.append(errors_member(found.errors, 0))
        return found

    async def _below(self, path: RelativePath, skip: int, entries: Sequence[Entry]) -> None:
        """Add what is in a directory. Not recursive: trees may be deeper than the call stack."""
        waiting = [(path, entries)]
        while waiting:
            directory, entries = waiting.pop()
            if not entries and len(directory.parts) > skip:
                known = await self._files.stat(directory)
                self._add(member_of("/".join(directory.parts[skip:]) + "/", directory, known))
            below = await self._add_entries(directory, skip, entries)
            waiting.extend([(path, await self._try_entries(path)) for path in below])

    async def _add_entries(
        self, directory: RelativePath, skip: int, entries: Sequence[Entry]
    ) -> Sequence[RelativePath]:
        """Add what is no directory; returns the others."""
        if len(entries) < _AT_ONCE:
            return self._add_all(directory, skip, entries)
        return await to_thread.run_sync(self._add_all, directory, skip, entries)

    def _add_all(self, directory: RelativePath, skip: int, entries: Sequence[Entry]) -> Sequence[RelativePath]:
        directories: list[RelativePath] = []
        above = directory.parts
        prefix = "".join(f"{part}/" for part in above[skip:])
        for name, known, link_target in entries:
            below, kind = RelativePath((*above, name)), known.kind
            if kind is EntryKind.FILE:
                self._add(member_of(prefix + name, below, known))
            elif kind is EntryKind.DIRECTORY:
                directories.append(below)
            elif kind is EntryKind.SYMLINK and link_target:
                self._add(member_of(prefix + name, below, known, target=link_target))
            else:
                self._found.errors.append(f"{prefix}{name}: a link out of its directory, or no file")
        return directories

    async def _try_entries(self, path: RelativePath) -> Sequence[Entry]:
        try:
            return await self._entries(path)
        except PenstockError as error:
            if isinstance(error, TooLargeError):
                raise
            self._found.errors.append(f"{path}: {error.code}")
            return ()

    async def _entries(self, path: RelativePath) -> Sequence[Entry]:
        listing = await self._files.listing(path, limit=self._most + 1)
        if listing.truncated or len(listing.entries) > self._most:
            raise self._too_many()
        return [entry for entry in listing.entries if not (path.is_root and entry.name == STAGING_NAME)]

    def _add(self, member: Member) -> None:
        if len(self._found.members) >= self._most:
            raise self._too_many()
        self._found.members.append(member)

    def _too_many(self) -> TooLargeError:
        return TooLargeError(f"more than {self._most} files", max_entries=self._most)
