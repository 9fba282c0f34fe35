"""Small files that are whole or not there, whatever fails. Blocking."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

_BLOCK_BYTES: Final = 1 << 20


def write_durably(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Write a file, and make its bytes and its name durable."""
    partial = path.with_name(f"{path.name}.new")
    with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    partial.rename(path)
    sync_names(path.parent)


def sync_names(directory: Path) -> None:
    """Make the names in a directory durable."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


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
