"""Structured fields for HTTP (RFC 9651): items and dictionaries, as requests of resumable uploads write them.

Every kind of value is read, because any of them may stand in a parameter, which has to be passed over. Inner lists
are values of dictionaries, and passed over as well: nothing here is made of them.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote_to_bytes

_KEY: Final = re.compile(r"[a-z*][a-z0-9_.*-]*")
_KINDS: Final = {
    "decimal": r"-?[0-9]{1,12}\.[0-9]{1,3}(?![0-9])",
    "integer": r"-?[0-9]{1,15}(?![0-9.])",
    "string": r'"(?:[ !#-\[\]-~]|\\["\\])*"',
    "display": r'%"(?:[ !#$&-~]|%[0-9a-f]{2})*"',
    "token": r"[A-Za-z*][A-Za-z0-9!#$%&'*+.^_`|~:/-]*",
    "bytes": r":[A-Za-z0-9+/=]*:",
    "boolean": r"\?[01]",
    "date": r"@-?[0-9]{1,15}(?![0-9.])",
}
_BARE: Final = re.compile("|".join(f"(?P<{kind}>{pattern})" for kind, pattern in _KINDS.items()))


@dataclass(frozen=True, slots=True)
class Other:
    """A value of a kind nothing here is made of, as it was written."""

    text: str


Value = bool | int | bytes | Other


def read_item(text: str) -> Value:
    """Read a field that is one item, whatever its parameters. Raises ValueError (section 4.2.3)."""
    reading = _Reading(text.strip(" "))
    value = reading.item()
    reading.end()
    return value


def read_dictionary(text: str) -> dict[str, Value]:
    """Read a field that is a dictionary; of two with one key the last counts. Raises ValueError (section 4.2.2)."""
    reading = _Reading(text.strip(" "))
    found: dict[str, Value] = {}
    while not reading.is_over:
        key = reading.key()
        found.pop(key, None)
        found[key] = reading.member()
        reading.comma()
    return found


class _Reading:
    """A field that is read from its begin to its end."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    @property
    def is_over(self) -> bool:
        """Whether nothing is left."""
        return self._at == len(self._text)

    def end(self) -> None:
        """See that nothing is left."""
        if not self.is_over:
            raise self._wrong()

    def key(self) -> str:
        """The name of a member or parameter."""
        return self._match(_KEY)[0]

    def member(self) -> Value:
        """What follows a key: a value, or nothing, which is true."""
        if not self._skips("="):
            self._parameters()
            return True
        if not self._skips("("):
            return self.item()
        return self._inner_list()

    def item(self) -> Value:
        """A value, and its parameters."""
        value = self._bare()
        self._parameters()
        return value

    def comma(self) -> None:
        """What stands between two members; nothing does behind the last one."""
        self._space(" \t")
        if self.is_over:
            return
        is_comma = self._skips(",")
        self._space(" \t")
        if self.is_over or not is_comma:
            raise self._wrong()

    def _inner_list(self) -> Value:
        start = self._at
        self._space(" ")
        while not self._skips(")"):
            self.item()
            if self._text[self._at : self._at + 1] not in (" ", ")"):
                raise self._wrong()
            self._space(" ")
        end = self._at
        self._parameters()
        return Other(self._text[start - 1 : end])

    def _parameters(self) -> None:
        while self._skips(";"):
            self._space(" ")
            self.key()
            if self._skips("="):
                self._bare()

    def _bare(self) -> Value:
        match = self._match(_BARE)
        text = match[0]
        match match.lastgroup:
            case "integer":
                return int(text)
            case "boolean":
                return text == "?1"
            case "bytes":
                return _decoded(text[1:-1])
            case "display":
                unquote_to_bytes(text).decode()  # it has to be UTF-8
        return Other(text)

    def _match(self, pattern: re.Pattern[str]) -> re.Match[str]:
        match = pattern.match(self._text, self._at)
        if match is None:
            raise self._wrong()
        self._at = match.end()
        return match

    def _skips(self, letter: str) -> bool:
        """Pass over a letter, if it is the next one."""
        is_next = self._text.startswith(letter, self._at)
        self._at += is_next
        return is_next

    def _space(self, letters: str) -> None:
        while not self.is_over and self._text[self._at] in letters:
            self._at += 1

    def _wrong(self) -> ValueError:
        return ValueError(f"not a structured field from {self._text[self._at : self._at + 40]!r} on")


def _decoded(text: str) -> bytes:
    """Base64, with its padding or without (section 4.2.7)."""
    bare = text.rstrip("=")
    try:
        return base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True)
    except binascii.Error as error:
        raise ValueError("no Base64 between the colons") from error
