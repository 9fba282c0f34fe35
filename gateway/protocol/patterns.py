"""Patterns of paths in a selection, such as `**/*.csv`.

`*` stands for any letters of a name, `?` for one, `[abc]`, `[a-z]` and `[!a]` for one of some; `**` as a whole name
for any number of directories, at the end for everything below. Upper and lower case differ, and names that begin
with a dot are like all others. What matches is a file; no sign stands for a `/`.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Sequence
from typing import Final, TypeAlias

from domain.foreign_names import read_path

_SIGNS: Final = frozenset("*?[")
#: Where in each pattern one is, as pairs of the pattern's number and that of its name.
State: TypeAlias = frozenset[tuple[int, int]]


def is_pattern(text: str) -> bool:
    """Whether a name has signs of a pattern. It may be a plain name all the same."""
    return not _SIGNS.isdisjoint(text)


class _AnyDirectories:
    """`**`."""


#: What one name of a pattern is: a plain name, an expression, or any number of names.
_Part: TypeAlias = str | re.Pattern[str] | _AnyDirectories


class Patterns:
    """Several patterns, looked at together: no directory has to be looked at twice."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._patterns = [_parts(text) for text in texts]
        #: Where one is in the folder itself.
        self.start: State = self._opened(frozenset((number, 0) for number in range(len(texts))))

    def names(self, state: State) -> frozenset[str] | None:
        """The only names in a directory that matter; None: all may."""
        parts = [self._patterns[number][position] for number, position in state]
        names = frozenset(part for part in parts if isinstance(part, str))
        return names if all(isinstance(part, str) for part in parts) else None

    def take(self, state: State, name: str) -> set[int]:
        """Which patterns a file of this name matches."""
        return {
            number
            for number, position in state
            if position == len(self._patterns[number]) - 1 and _fits(self._patterns[number][position], name)
        }

    def below(self, state: State, name: str) -> State:
        """Where one is in a directory of this name; nowhere: nothing below it matches."""
        found: set[tuple[int, int]] = set()
        for number, position in state:
            part = self._patterns[number][position]
            if isinstance(part, _AnyDirectories):
                found.add((number, position))
            elif position < len(self._patterns[number]) - 1 and _fits(part, name):
                found.add((number, position + 1))
        return self._opened(frozenset(found))

    def _opened(self, state: State) -> State:
        """The same, `**` also standing for no directory at all."""
        found: set[tuple[int, int]] = set()
        for number, position in state:
            parts = self._patterns[number]
            while position < len(parts):
                found.add((number, position))
                if not isinstance(parts[position], _AnyDirectories):
                    break
                position += 1  # noqa: PLW2901
        return frozenset(found)


def _parts(text: str) -> Sequence[_Part]:
    return [_part(name) for name in read_path(text).parts]


def _part(name: str) -> _Part:
    if name == "**":
        return _AnyDirectories()
    return re.compile(fnmatch.translate(name)) if is_pattern(name) else name


def _fits(part: _Part, name: str) -> bool:
    if isinstance(part, str):
        return part == name
    return isinstance(part, _AnyDirectories) or part.match(name) is not None
