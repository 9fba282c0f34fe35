"""What a selection leads to when its archive is made: names of files and directories, and patterns of files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from anyio import to_thread

from backends.contract import Entry, EntryKind, FileAccess
from backends.walk import NOT_NOW
from domain.errors import NotFoundError, PenstockError, Subject, TooLargeError
from domain.foreign_names import path_of, read_path
from domain.paths import ROOT, RelativePath
from gateway.archive.entries import Take
from gateway.archive.manifest import OF_ONE_NAME, Gatherer, Manifest, Member, member_of
from gateway.archive.names import shown
from gateway.protocol.patterns import Patterns, State, compared, is_pattern

#: Patterns one selection may have.
_PATTERNS: Final = 32
#: Comparisons of names that are few enough to be done on the event loop.
_AT_ONCE: Final = 1000


class Selecting:
    """Finds what is selected in one folder. Links are never followed.

    Args:
        most: members there may be, and entries that may have to be looked at for them.
        take: counts entries that were found.
    """

    def __init__(self, files: FileAccess, most: int, take: Take) -> None:
        self._files = files
        self._most = most
        self._take = take
        self._looked_at = 0
        self._found: dict[str, Member] = {}
        self._errors: list[str] = []

    async def manifest(self, names: Sequence[str]) -> Manifest:
        """Everything that names and patterns lead to; a name that is there is no pattern, whatever its letters.

        Raises:
            NotFoundError: the folder is not there.
            TooLargeError: too many patterns, or names in them, members, or entries to be looked at.
            BusyError: as counting says.
        """
        names = list(dict.fromkeys(names))
        texts = [name for name in names if is_pattern(name) and not await self._is_there(name)]
        if len(texts) > _PATTERNS:
            raise TooLargeError(f"more than {_PATTERNS} patterns", max_patterns=_PATTERNS)
        patterns = await to_thread.run_sync(Patterns, texts) if texts else None
        plain = [read_path(name) for name in names if name not in texts]
        named = await Gatherer(self._files, self._most, self._take).selection(plain)
        if patterns is None:
            return named
        await self._find(patterns, texts)
        members = {member.name: member for member in named.members} | self._found
        if len(members) > self._most:
            raise self._too_many()
        return replace(named, members=list(members.values()), errors=[*named.errors, *self._errors])

    async def _is_there(self, name: str) -> bool:
        path = read_path(name)
        try:
            await self._files.stat(path)
        except OF_ONE_NAME as error:
            if error.subject is not Subject.FILE:
                raise
            return False
        return True

    async def _find(self, patterns: Patterns, texts: Sequence[str]) -> None:
        matched: set[int] = set()
        waiting = [(ROOT, patterns.start)]
        while waiting:
            directory, state = waiting.pop()
            entries = await self._entries(directory, patterns.names(state))
            if len(entries) * compared(state) < _AT_ONCE:
                waiting += self._look(patterns, directory, state, entries, matched)
            else:
                waiting += await to_thread.run_sync(self._look, patterns, directory, state, entries, matched)
        for number, text in enumerate(texts):
            if number not in matched:
                self._tell(text, "nothing found")

    def _look(
        self,
        patterns: Patterns,
        directory: RelativePath,
        state: State,
        entries: Sequence[Entry],
        matched: set[int],
    ) -> list[tuple[RelativePath, State]]:
        """Add the files that match; returns the directories in which there may be more."""
        below: list[tuple[RelativePath, State]] = []
        for name, known, _ in entries:
            path = path_of((*directory.parts, name))
            if known.kind is EntryKind.DIRECTORY:
                if further := patterns.below(state, name):
                    below.append((path, further))
            elif taken := patterns.take(state, name):
                matched |= taken
                self._add(path, Entry(name, known))
        return below

    def _add(self, path: RelativePath, entry: Entry) -> None:
        if entry.stat.kind is EntryKind.FILE:
            member = member_of("/".join(path.parts), path, entry.stat)
            self._found[member.name] = member
        else:
            self._tell("/".join(path.parts), "not a file")

    async def _entries(self, directory: RelativePath, names: frozenset[str] | None) -> Sequence[Entry]:
        """What is in a directory, or only those of these names; what cannot be looked at is told."""
        try:
            if names is None:
                return await self._listed(directory)
            found = [await self._named(directory, name) for name in names]
            return [entry for entry in found if entry is not None]
        except (TooLargeError, *NOT_NOW):
            raise  # that says nothing of the directory
        except PenstockError as error:
            if directory.is_root:
                raise
            self._tell("/".join(directory.parts), error.code)
            return ()

    async def _listed(self, directory: RelativePath) -> Sequence[Entry]:
        left = self._most - self._looked_at
        listing = await self._files.listing(directory, limit=left + 1)
        self._looked_at += len(listing.entries)
        if listing.truncated or self._looked_at > self._most:
            raise self._too_many()
        self._take(len(listing.entries))
        return [entry for entry in listing.entries if not RelativePath((*directory.parts, entry.name)).is_reserved]

    async def _named(self, directory: RelativePath, name: str) -> Entry | None:
        path = path_of((*directory.parts, name))
        try:
            return None if path.is_reserved else Entry(name, await self._files.stat(path))
        except NotFoundError as error:
            if error.subject is not Subject.FILE:
                raise
            return None

    def _tell(self, name: str, why: str) -> None:
        self._errors.append(f"{shown(name)}: {why}")

    def _too_many(self) -> TooLargeError:
        return TooLargeError(f"more than {self._most} files", max_entries=self._most)
