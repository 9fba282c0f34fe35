"""Directories outside of all volumes that an operator lets be read."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Final, Protocol

from backends.contract import ReadAccess
from domain.errors import InvalidPathError
from domain.foreign_names import read_path
from domain.ids import VolumeName
from domain.paths import RelativePath

#: Where Backend.AI's manager says that they are: a volume its own storage proxy always has.
NOWHERE: Final = VolumeName("noop")


class Outside(Protocol):
    """All of them."""

    def admits(self, path: str) -> bool:
        """Whether a path is that of such a directory, or of one beneath, going by its names."""

    def opened(self, path: str) -> AbstractAsyncContextManager[ReadAccess]:
        """A directory that is admitted, to be read as long as the block lasts.

        Raises NotFoundError (subject file) if it is not there, InvalidPathError (subject file) if a link is on the
        way to it, or the path is not admitted.
        """


def place_of(path: str) -> RelativePath | None:
    """Where an absolute path leads, seen from the root; None: it is none, or has `..`, which links may turn."""
    if not path.startswith("/") or ".." in path.split("/"):
        return None
    try:
        return read_path(path.lstrip("/"))
    except InvalidPathError:
        return None
