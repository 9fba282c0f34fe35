"""Paths inside a virtual folder.

Rules: relative, `/`-separated, normalised by name only (`a/../b` is `b`), never above the folder. What the
names lead to on a real file system is checked again by the kernel, beneath the folder's root.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

from domain.errors import InvalidPathError, Subject
from domain.parsed import TextForm

#: Longest name of one file or directory, in bytes of UTF-8 (NAME_MAX of Linux file systems).
NAME_MAX_BYTES: Final = 255
#: Longest path inside a folder, in bytes of UTF-8; leaves room for the folder's own path within PATH_MAX.
PATH_MAX_BYTES: Final = 3072
#: Where unfinished uploads live inside a folder. Shown in listings, closed for changes.
STAGING_NAME: Final = ".upload"


@dataclass(frozen=True, slots=True, order=True)
class RelativePath(TextForm):
    """Names from the folder's root down. No names: the root itself, written `.`."""

    parts: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read and normalise a path.

        Raises:
            InvalidPathError: absolute, leads above the root, has NUL, is not UTF-8, or is too long.
        """
        if text.startswith("/"):
            raise _invalid("expected relative path but the value is absolute", text)
        if "\0" in text:
            raise _invalid("contains a NUL character", text)
        parts: list[str] = []
        for name in text.split("/"):
            if name in ("", "."):
                continue
            if name == "..":
                if not parts:
                    raise _invalid("leads out of the folder", text)
                parts.pop()
                continue
            parts.append(name)
        _check_bytes(parts, text)
        return cls(tuple(parts))

    def __str__(self) -> str:
        return "/".join(self.parts) or "."

    def __truediv__(self, below: RelativePath) -> RelativePath:
        joined = (*self.parts, *below.parts)
        _check_bytes(joined, str(below))
        return RelativePath(joined)

    @property
    def is_root(self) -> bool:
        """Whether this is the folder itself."""
        return not self.parts

    @property
    def name(self) -> str:
        """Last name; empty for the root."""
        return self.parts[-1] if self.parts else ""

    @property
    def parent(self) -> RelativePath:
        """The directory this lies in; the root is its own parent."""
        return RelativePath(self.parts[:-1])

    @property
    def is_reserved(self) -> bool:
        """Whether this lies where unfinished uploads are kept."""
        return bool(self.parts) and self.parts[0] == STAGING_NAME

    def is_within(self, directory: RelativePath) -> bool:
        """Whether this is `directory` or lies below it."""
        return self.parts[: len(directory.parts)] == directory.parts

    def renamed(self, name: str) -> RelativePath:
        """The same place with another last name.

        Raises:
            InvalidPathError: the root has no name; or `name` is no single name.
        """
        if self.is_root:
            raise _invalid("the folder itself has no name to change", str(self))
        new = RelativePath.parse(name)
        if len(new.parts) != 1 or "/" in name:
            raise _invalid("a new name must be one name, without a slash", name)
        return self.parent / new


def _check_bytes(parts: list[str] | tuple[str, ...], text: str) -> None:
    total = 0
    for name in parts:
        try:
            length = len(name.encode())
        except UnicodeEncodeError as error:
            raise _invalid("is not valid UTF-8", ascii(text)) from error
        if length > NAME_MAX_BYTES:
            raise _invalid(f"has a name longer than {NAME_MAX_BYTES} bytes", text)
        total += length + 1
    if total > PATH_MAX_BYTES:
        raise _invalid(f"is longer than {PATH_MAX_BYTES} bytes", text)


def _invalid(reason: str, text: str) -> InvalidPathError:
    shown = text.encode("utf-8", "backslashreplace").decode()[:200]
    return InvalidPathError(reason, subject=Subject.FILE, path=shown)


ROOT: Final = RelativePath()
