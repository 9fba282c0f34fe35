"""Names that are no UTF-8, as text that can be sent, and given back.

Whoever has a volume mounted may give any bytes as a name. Python reads a byte that is part of no character as a
lone surrogate, which no other program has to take. So such a byte is told as one character of Unicode's last
private use area: U+10FF00 plus the byte, hence U+10FF80 to U+10FFFF. Characters of that range in a name that is
UTF-8 are told byte for byte as well: no two names are told alike, and what is told stands for one name.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from posixpath import normpath
from typing import Final

from domain.paths import ROOT, RelativePath

#: A byte as Python reads it, and as it is told here.
_LONE: Final = 0xDC00
_TOLD: Final = 0x10FF00
_UNTOLD: Final = re.compile("[\ud800-\udfff\U0010ff80-\U0010ffff]")
_STANDS_FOR_A_BYTE: Final = re.compile("[\U0010ff80-\U0010ffff]")


def sendable(name: str) -> str:
    """A name or path as the system tells it, as text that is UTF-8."""
    return name if name.isascii() else _UNTOLD.sub(_tell, name)


def _tell(found: re.Match[str]) -> str:
    data = found.group().encode("utf-8", "surrogateescape")
    return "".join(chr(_TOLD + byte) for byte in data)


def _meant(name: str) -> str:
    """The name that is told this way, as the system takes it."""
    lone = _STANDS_FOR_A_BYTE.sub(lambda found: chr(ord(found.group()) - _TOLD + _LONE), name)
    return lone.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")


def _of_its_length(text: str) -> str:
    """Text that takes as many bytes as what is meant: all rules of paths hold for it alike."""
    return _STANDS_FOR_A_BYTE.sub("x", text)


@dataclass(frozen=True, slots=True)
class ForeignPath(RelativePath):
    """A path with names that are no UTF-8; its text is what is told of it."""

    def __str__(self) -> str:
        return sendable("/".join(self.parts))

    @property
    def parent(self) -> RelativePath:
        """The directory this lies in."""
        return path_of(self.parts[:-1])

    def __truediv__(self, below: RelativePath) -> RelativePath:
        return _joined(self, below)

    def __rtruediv__(self, above: RelativePath) -> RelativePath:
        return _joined(above, self)


def _joined(above: RelativePath, below: RelativePath) -> RelativePath:
    """A path below another one. Raises InvalidPathError: it is too long."""
    return read_path(str(path_of((*above.parts, *below.parts))))


def path_of(parts: Sequence[str]) -> RelativePath:
    """The path with these names, as the system tells them."""
    kind = ForeignPath if _UNTOLD.search("".join(parts)) else RelativePath
    return kind(tuple(parts))


def read_path(text: str) -> RelativePath:
    """Read a path as clients send it, with or without such names. Raises as `RelativePath.parse`."""
    if text.isascii() or not _STANDS_FOR_A_BYTE.search(text):
        return RelativePath.parse(text)
    RelativePath.parse(_of_its_length(text))
    normal = normpath(text)
    return ROOT if normal == "." else path_of([_meant(name) for name in normal.split("/")])


def renamed(path: RelativePath, name: str) -> RelativePath:
    """The same place with another last name. Raises as `RelativePath.renamed`."""
    (path if path.is_root else RelativePath(("x",))).renamed(_of_its_length(name))
    return read_path(f"{path.parent}/{name}")
