"""A process that copies small files on behalf of another one: `python -m backends.mounted.copier`.

Copying a small file is a dozen short system calls, and between them a process of ours does little else than hold
its interpreter; so several processes copy side by side what one alone could not. Requests come in on standard input
and are answered on standard output, each a msgpack document behind its length in four bytes. When the other side is
gone, the input ends, and so does this.
"""

from __future__ import annotations

import os
import struct
import sys
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
    """Copy what is asked for until nobody asks any more."""
    source, mount, shares = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "1"
    tree = Beneath(source, best_resolver())
    while (request := _read(sys.stdin.buffer)) is not None:
        path, place, files = request
        sys.stdout.buffer.write(frame(_copy(tree, path, mount, place, files, shares=shares)))
        sys.stdout.buffer.flush()


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
