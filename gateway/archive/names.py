"""Names of files as ZIP archives tell them: such that every program that unpacks them can make files of them.

A name on a volume is any bytes but `/` and NUL. In an archive it is UTF-8, and what Windows does not take, or
nobody can see, stands there as its bytes in hexadecimal digits behind a `%`, as in URLs; then a `%` of its own does
so as well. Names that are safe as they are stay as they are.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Final

#: Signs Windows has other uses for; what nobody can see; and bytes that are part of no character.
_SIGNS: Final = '"*:<>?\\\\|'
_UNSEEN: Final = "\\x00-\\x1f\\x7f-\\x9f\ud800-\udfff"
_UNSAFE_SIGN: Final = re.compile(f"[{_SIGNS}{_UNSEEN}]")
_ESCAPED_SIGN: Final = re.compile(f"[{_SIGNS}{_UNSEEN}%]")
_UNSEEN_SIGN: Final = re.compile(f"[{_UNSEEN}]")
#: Names Windows has for devices, whatever they end on.
_DEVICE: Final = "(?:aux|con|nul|prn|(?:com|lpt)[0-9¹²³])(?![^ ./])"
_BEGINS_AS_DEVICE: Final = re.compile(_DEVICE, re.IGNORECASE)
_HAS_DEVICE: Final = re.compile(f"(?:\\A|/){_DEVICE}", re.IGNORECASE)
#: What Windows takes away from the end of a name.
_HAS_LOST_END: Final = re.compile("[. ](?:/|\\Z)")
#: Longest name most file systems have, in bytes; how much of a longer one is kept, and digits that tell it apart.
_NAME_BYTES: Final = 255
_KEPT_BYTES: Final = 200
_DIGITS: Final = 16


def shown(name: str) -> str:
    """A name in a text for people: on one line, and UTF-8."""
    return _UNSEEN_SIGN.sub(_escaped, name)


def safe_names(names: Iterable[str]) -> Mapping[str, str]:
    """Safe names for those that are not, each of which no other one has.

    Args:
        names: all of them, with `/` between and, for directories, at the end.
    """
    safe, unsafe = list[str](), list[str]()
    for name in names:
        (safe if _is_safe(name) else unsafe).append(name)
    if not unsafe:
        return {}
    made = _Names(safe)
    for name in unsafe:
        made.keep_directories(name)
    return {name: made.safe(name) for name in unsafe}


class _Names:
    """Finds safe names beside those that are safe as they are."""

    def __init__(self, safe: Iterable[str]) -> None:
        #: Paths that are taken, of files and directories.
        self._taken: set[str] = set()
        #: Directories with something in them that is not safe, or that are not: which paths they have.
        self._directories: dict[str, str] = {}
        above = ""
        for name in safe:
            path = name.rstrip("/")
            self._taken.add(path)
            directory = path.rpartition("/")[0]
            if directory != above:
                above = directory
                self._take(directory)

    def keep_directories(self, name: str) -> None:
        """Have the directories above a name stay as they are, as far as they are safe, though it is not."""
        directory = name.rstrip("/").rpartition("/")[0]
        while directory and not _is_safe(f"{directory}/"):
            directory = directory.rpartition("/")[0]
        self._take(directory)

    def _take(self, directory: str) -> None:
        while directory and directory not in self._taken:
            self._taken.add(directory)
            directory = directory.rpartition("/")[0]

    def safe(self, name: str) -> str:
        """A safe name for one that is not; that of a directory is the same for all that is in it."""
        above, made = "", ""
        *directories, last = name.rstrip("/").split("/")
        for part in directories:
            made = self._directory(made, above, part)
            above = f"{above}{part}/"
        return self._directory(made, above, last) if name.endswith("/") else self._free(made, last)

    def _directory(self, made: str, above: str, part: str) -> str:
        """The path of a directory, with `/` at its end; the one it lies in is `above`, and has become `made`."""
        path = f"{above}{part}/"
        if path not in self._directories:
            self._directories[path] = path if _is_safe(path) else f"{self._free(made, part)}/"
        return self._directories[path]

    def _free(self, above: str, part: str) -> str:
        wanted = above + _safe(part)
        free, number = wanted, 1
        while free in self._taken:
            free = f"{wanted}~{number}"
            number += 1
        self._taken.add(free)
        return free


def _is_safe(path: str) -> bool:
    # One after the other takes half the time of all in one: most paths have nothing of it.
    return not (_UNSAFE_SIGN.search(path) or _HAS_LOST_END.search(path) or _HAS_DEVICE.search(path))


def _safe(part: str) -> str:
    """One name between slashes, as safe as it has to be."""
    made = _ESCAPED_SIGN.sub(_escaped, part) if _UNSAFE_SIGN.search(part) else part
    if made[-1] in ". ":
        made = made[:-1] + _hexadecimal(made[-1])
    if _BEGINS_AS_DEVICE.match(made):
        made = _hexadecimal(made[0]) + made[1:]
    data = made.encode()
    if len(data) <= _NAME_BYTES:
        return made
    digest = hashlib.sha256(part.encode("utf-8", "surrogateescape")).hexdigest()[:_DIGITS]
    return f"{data[:_KEPT_BYTES].decode('utf-8', 'ignore')}~{digest}"


def _escaped(sign: re.Match[str]) -> str:
    return _hexadecimal(sign[0])


def _hexadecimal(text: str) -> str:
    return "".join(f"%{byte:02X}" for byte in text.encode("utf-8", "surrogateescape"))
