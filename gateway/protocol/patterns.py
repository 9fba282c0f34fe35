"""Patterns of paths in a selection, such as `**/*.csv`.

`*` stands for any letters of a name, `?` for one, `[abc]`, `[a-z]` and `[!a]` for one of some; `**` as a whole name
for any number of directories, at the end for everything below. Upper and lower case differ, and names that begin
with a dot are like all others. What matches is a file; no sign stands for a `/`.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from domain.errors import TooLargeError
from domain.foreign_names import read_path

_SIGNS: Final = frozenset("*?[")
#: Names all patterns together may have: every entry that is looked at is compared with some of them.
_MOST_NAMES: Final = 1000
_ANY_DIRECTORIES: Final = "**"
#: Where in the patterns one is, a bit for each of their names: very many directories may wait, each with its own.
State: TypeAlias = int


def is_pattern(text: str) -> bool:
    """Whether a name has signs of a pattern. It may be a plain name all the same."""
    return not _SIGNS.isdisjoint(text)


class _AnyDirectories:
    """`**`."""


#: What one name of a pattern is: a plain name, an expression, or any number of names.
_Part: TypeAlias = str | re.Pattern[str] | _AnyDirectories


@dataclass(frozen=True, slots=True)
class _Position:
    """One name of a pattern."""

    part: _Part
    #: Whose it is.
    number: int
    is_last: bool


class Patterns:
    """Several patterns, looked at together: no directory has to be looked at twice. Blocking: it takes some time.

    Raises:
        TooLargeError: they have more names than may be.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        patterns = [_names(text) for text in texts]
        if sum(map(len, patterns)) > _MOST_NAMES:
            raise TooLargeError(f"more than {_MOST_NAMES} names in patterns", max_names=_MOST_NAMES)
        self._positions: list[_Position] = []
        start: State = 0
        for number, names in enumerate(patterns):
            start |= bool(names) << len(self._positions)
            last = len(names) - 1
            self._positions += [_Position(_part(name), number, at == last) for at, name in enumerate(names)]
        #: Where one is in the folder itself.
        self.start: State = self._opened(start)

    def names(self, state: State) -> frozenset[str] | None:
        """The only names in a directory that matter; None: all may."""
        parts = [self._positions[bit].part for bit in _bits(state)]
        names = frozenset(part for part in parts if isinstance(part, str))
        return names if all(isinstance(part, str) for part in parts) else None

    def take(self, state: State, name: str) -> set[int]:
        """Which patterns a file of this name matches."""
        found = [self._positions[bit] for bit in _bits(state)]
        return {position.number for position in found if position.is_last and _fits(position.part, name)}

    def below(self, state: State, name: str) -> State:
        """Where one is in a directory of this name; nowhere: nothing below it matches."""
        found: State = 0
        for bit in _bits(state):
            position = self._positions[bit]
            if isinstance(position.part, _AnyDirectories):
                found |= 1 << bit
            elif not position.is_last and _fits(position.part, name):
                found |= 2 << bit
        return self._opened(found)

    def _opened(self, state: State) -> State:
        """The same, `**` also standing for no directory at all."""
        for bit in _bits(state):
            position = self._positions[bit]
            if isinstance(position.part, _AnyDirectories) and not position.is_last:
                state |= 2 << bit  # which is no other `**`
        return state


def compared(state: State) -> int:
    """With how many names of patterns each entry of a directory is compared."""
    return state.bit_count()


def _bits(state: State) -> Iterator[int]:
    while state:
        bit = state.bit_length() - 1
        yield bit
        state ^= 1 << bit


def _names(text: str) -> Sequence[str]:
    """Names of a pattern; several `**` in a row say no more than one."""
    names: list[str] = []
    for name in read_path(text).parts:
        if not (name == _ANY_DIRECTORIES and names[-1:] == [_ANY_DIRECTORIES]):
            names.append(name)
    return names


def _part(name: str) -> _Part:
    if name == _ANY_DIRECTORIES:
        return _AnyDirectories()
    return re.compile(fnmatch.translate(name)) if is_pattern(name) else name


def _fits(part: _Part, name: str) -> bool:
    if isinstance(part, str):
        return part == name
    return isinstance(part, _AnyDirectories) or part.match(name) is not None
