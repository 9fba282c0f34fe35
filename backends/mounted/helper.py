"""A process that does file work on behalf of another one: `python -m backends.mounted.helper copy|count FD...`.

Copying a small file, or looking at one, is a few short system calls, and between them a process of ours does little
else than hold its interpreter; so several processes do side by side what one alone could not. Requests come in on
standard input and are answered on standard output, each a msgpack document behind its length in four bytes. When
the other side is gone, the input ends, and so does this.
"""

from __future__ import annotations

import os
import struct
import sys
from collections.abc import Callable
from typing import Any, BinaryIO, Final

import msgpack

from backends.mounted.beneath import Beneath, best_resolver, opened
from backends.mounted.plain import PlainFile, copy_plain
from domain.paths import ROOT, RelativePath

LENGTH: Final = struct.Struct(">I")
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW


def frame(document: object) -> bytes:
    """A document as it goes over the pipe."""
    data: bytes = msgpack.packb(document, unicode_errors="surrogateescape")
    return LENGTH.pack(len(data)) + data


def parse(data: bytes) -> Any:
    """The document of a frame, without its length."""
    return msgpack.unpackb(data, use_list=False, unicode_errors="surrogateescape")


def main() -> None:
    """Do what is asked for until nobody asks any more."""
    answer = _copying(*sys.argv[2:]) if sys.argv[1] == "copy" else _counting(*sys.argv[2:])
    while (request := _read(sys.stdin.buffer)) is not None:
        sys.stdout.buffer.write(frame(answer(request)))
        sys.stdout.buffer.flush()


def _copying(source: str, mount: str, shares: str) -> Callable[[Any], Any]:
    tree = Beneath(int(source), best_resolver())

    def copy(request: Any) -> Any:
        path, place, files = request
        return _copy(tree, path, int(mount), place, files, shares=shares == "1")

    return copy


def _counting(root: str, staging: str) -> Callable[[Any], Any]:
    from backends.mounted.usage import look_at

    tree = Beneath(int(root), best_resolver())

    def count(request: Any) -> Any:
        """Answer with an errno, or what was seen of each path."""
        try:
            return 0, [
                look_at(tree, RelativePath(path) if path else ROOT, staging=staging == "1") for path in request
            ]
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
    tree: Beneath, path: tuple[str, ...], mount: int, place: str, files: tuple[Any, ...], *, shares: bool
) -> tuple[int, int, list[str], int]:
    """Copy files of one directory; returns how many, their bytes, those left over, and an errno or 0."""
    copied = size = seen = 0
    rest: list[str] = []
    try:
        with opened(tree.open(RelativePath(path) if path else ROOT, _DIRECTORY)) as directory:
            for fields in files:
                file = PlainFile(*fields)
                if copy_plain(directory, file, mount, f"{place}/{file.name}", shares=shares):
                    copied += 1
                    size += file.size_bytes
                else:
                    rest.append(file.name)
                seen += 1
    except OSError as error:
        return copied, size, rest + [PlainFile(*fields).name for fields in files[seen:]], error.errno or 0
    return copied, size, rest, 0


if __name__ == "__main__":
    main()
