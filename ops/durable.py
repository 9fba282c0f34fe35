"""Files of our own, outside of volumes, that are whole whatever fails. Blocking."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

from backends.mounted.beneath import opened
from backends.mounted.durable import replace_file, sync_directory

_BLOCK_BYTES: Final = 1 << 20


def write_durably(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Write a file, and make its bytes and its name durable."""
    with _directory(path.parent) as fd:
        replace_file(fd, path.name, data, mode)


def sync_names(directory: Path) -> None:
    """Make the names in a directory durable."""
    with _directory(directory) as fd:
        sync_directory(fd)


def _directory(path: Path) -> AbstractContextManager[int]:
    return opened(os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))


def drop_zeros(path: Path) -> int:
    """Cut off the zeros at the end of a file that has none of its own; returns how many there were.

    A power failure can leave a file's new length without the bytes that were on their way.
    """
    with path.open("r+b") as file:
        length = end = file.seek(0, os.SEEK_END)
        while end:
            begin = max(end - _BLOCK_BYTES, 0)
            file.seek(begin)
            kept = len(file.read(end - begin).rstrip(b"\0"))
            if kept:
                end = begin + kept
                break
            end = begin
        if end < length:
            file.truncate(end)
            file.flush()
            os.fsync(file.fileno())
    return length - end
