"""Writes TOML, as much of it as settings need."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

#: A name that needs no quotes.
_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")


def text_of(value: object) -> str:
    """A value as TOML: a truth value, a number, or else a text."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int | float) else quoted(str(value))


def quoted(text: str) -> str:
    """A text in quotes, on one line whatever is in it."""
    return '"' + "".join(map(_letter, text)) + '"'


def _letter(letter: str) -> str:
    if letter in '\\"':
        return f"\\{letter}"
    if letter.isprintable():
        return letter
    return f"\\u{ord(letter):04x}" if ord(letter) <= 0xFFFF else f"\\U{ord(letter):08x}"


def dotted(names: Iterable[str]) -> str:
    """A table's name."""
    return ".".join(name if _BARE.fullmatch(name) else quoted(name) for name in names)


def table(names: Iterable[str], values: Mapping[str, object]) -> str:
    """A table with its values."""
    return "\n".join(
        [f"[{dotted(names)}]", *(f"{dotted([key])} = {text_of(value)}" for key, value in values.items())]
    )
