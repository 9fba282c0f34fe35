"""A process that does file work on behalf of another one: `python -m backends.mounted.helping.main VERB FD...`.

Copying a small file, or looking at one, is a few short system calls, and between them a process of ours does little
else than hold its interpreter; so several processes do side by side what one alone could not. Requests come in on
standard input and are answered on standard output, each a document in Python's own form (`marshal`, which takes no
time to load) behind its length in four bytes: both ends are the same Python. When the other side is gone, the input
ends, and so does this.
"""

from __future__ import annotations

import marshal
import os
import struct
import sys

from backends.mounted.helping.looking import look_at
from backends.mounted.helping.plain import PlainFile, copy_plain
from backends.mounted.helping.resolving import find_resolver

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, BinaryIO

LENGTH = struct.Struct(">I")
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW


def frame(document: object) -> bytes:
    """A document as it goes over the pipe."""
    data = marshal.dumps(document)  # type: ignore[arg-type]  # only what it takes is told
    return LENGTH.pack(len(data)) + data


def parse(data: bytes) -> Any:
    """The document of a frame, without its length."""
    return marshal.loads(data)  # noqa: S302  from our own process


def main() -> None:
    """Do what is asked for until nobody asks any more."""
    answer = _copying(*sys.argv[2:]) if sys.argv[1] == "copy" else _counting(*sys.argv[2:])
    while (request := _read(sys.stdin.buffer)) is not None:
        sys.stdout.buffer.write(frame(answer(request)))
        sys.stdout.buffer.flush()


def _copying(source: str, mount: str, shares: str) -> Callable[[Any], Any]:
    resolver = find_resolver()

    def copy(request: Any) -> Any:
        path, place, known = request
        files = [PlainFile(*fields) for fields in known]
        try:
            directory = resolver.open(int(source), path, _DIRECTORY)
        except OSError as error:
            return 0, 0, [file.name for file in files], error.errno or 0
        try:
            return _copy(directory, int(mount), place, files, shares=shares == "1")
        finally:
            os.close(directory)

    return copy


def _counting(root: str) -> Callable[[Any], Any]:
    resolver = find_resolver()

    def count(request: Any) -> Any:
        """Answer with an errno, or what was seen of each path."""
        try:
            return 0, [look_at(resolver, int(root), path, leave_out) for path, leave_out in request]
        except OSError as error:
            return error.errno or 0, []

    return count


def _read(stream: BinaryIO) -> Any:
    head = stream.read(LENGTH.size)
    if len(head) < LENGTH.size:
        return None
    (length,) = LENGTH.unpack(head)
    data = stream.read(length)
    return parse(data) if len(data) == length else None


def _copy(
    directory: int, mount: int, place: str, files: list[PlainFile], *, shares: bool
) -> tuple[int, int, list[str], int]:
    """Copy files of one directory; returns how many, their bytes, those left over, and an errno or 0."""
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
        return copied, size, rest + [file.name for file in files[seen:]], error.errno or 0
    return copied, size, rest, 0


if __name__ == "__main__":
    main()
