"""What a helping process does that copies. Blocking."""

from __future__ import annotations

import errno
import os

from backends.mounted.helping.plain import PlainFile, copy_plain
from backends.mounted.helping.resolving import find_resolver

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW


def copying(source: str, mount: str, shares: str) -> Callable[[Any], Any]:
    """Copy small files of one directory into another.

    Args:
        source: descriptor of the directory beneath which they are.
        mount: descriptor of the one beneath which they are to be.
        shares: "1" if the file system lets files share their bytes.
    """
    resolver = find_resolver()

    def copy(request: Any) -> Any:
        """Answer with how many files, their bytes, the names left over, and an errno or 0."""
        path, place, known = request
        files = [PlainFile(*fields) for fields in known]
        try:
            directory = resolver.open(int(source), path, _DIRECTORY)
        except OSError as error:
            return 0, 0, [file.name for file in files], error.errno or errno.EIO
        try:
            return _copy(directory, int(mount), place, files, shares=shares == "1")
        finally:
            os.close(directory)

    return copy


def _copy(
    directory: int, mount: int, place: str, files: list[PlainFile], *, shares: bool
) -> tuple[int, int, list[str], int]:
    copied = size = seen = 0
    rest: list[str] = []
    try:
        for file in files:
            if copy_plain(directory, file, mount, f"{place}/{file.name}", shares=shares):
                copied += 1
                size += file.size_bytes
            else:
                rest.append(file.name)
            seen += 1
    except OSError as error:
        return copied, size, rest + [file.name for file in files[seen:]], error.errno or errno.EIO
    return copied, size, rest, 0
