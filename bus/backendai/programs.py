"""The programs that mount and unmount: what their words may hold, and how they are filled in. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from string import Formatter
from typing import Final

#: What stands for something in the words of a program that unmounts, and of one that mounts.
UNMOUNT_NAMES: Final = ("path", "scope", "edit_fstab", "fstab_path")
MOUNT_NAMES: Final = (*UNMOUNT_NAMES, "location", "type", "options")


@dataclass(frozen=True, slots=True)
class MountPrograms:
    """What mounts and unmounts, word by word; empty: nothing does."""

    mount: Sequence[str] = ()
    unmount: Sequence[str] = ()
    seconds: float = 60.0


def check_program(program: Sequence[str], names: Collection[str]) -> None:
    """See that every brace stands for something.

    Raises:
        ValueError: one does not; of the words, which may hold a password, no more is told than a name.
    """
    known = ", ".join(f"{{{name}}}" for name in names)
    for number, word in enumerate(program, 1):
        wrong = _wrong(word, names)
        if wrong:
            raise ValueError(
                f"word {number} holds {wrong}, which stands for nothing: there are {known}; "
                "a brace itself is written {{ or }}"
            )


def filled_in(program: Sequence[str], fields: Mapping[str, str]) -> list[str]:
    """The words of a program that was checked, with what is asked in the place of names."""
    return [word.format_map(fields) for word in program]


def _wrong(word: str, names: Collection[str]) -> str:
    """What in a word stands for nothing; empty: all does."""
    try:
        parts = list(Formatter().parse(word))
    except ValueError:
        return "a single brace"
    for _, name, form, conversion in parts:
        if name is None:
            continue
        if form or conversion or name not in names:
            return f"{{{name}}}" if name.isidentifier() and name not in names else "a brace"
    return ""
