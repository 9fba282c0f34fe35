"""A process that does file work on behalf of another one; `helpers.py` starts it.

Copying a small file, or looking at one, is a few short system calls, and between them a process of ours does little
else than hold its interpreter; so several processes do side by side what one alone could not. Requests come in on
standard input and are answered on standard output, each a document in Python's own form (`marshal`, which takes no
time to load) behind its length in four bytes: both ends are the same Python. When the other side is gone, the input
ends, and so does this.
"""

from __future__ import annotations

import marshal
import struct
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, BinaryIO

LENGTH = struct.Struct(">I")


def frame(document: object) -> bytes:
    """A document as it goes over the pipe."""
    data = marshal.dumps(document)  # type: ignore[arg-type]  # only what it takes is told
    return LENGTH.pack(len(data)) + data


def parse(data: bytes) -> Any:
    """The document of a frame, without its length."""
    return marshal.loads(data)  # noqa: S302  from our own process


def main() -> None:
    """Do what is asked for until nobody asks any more."""
    answer = _answering(*sys.argv[2:])
    while (request := _read(sys.stdin.buffer)) is not None:
        sys.stdout.buffer.write(frame(answer(request)))
        sys.stdout.buffer.flush()


def _answering(verb: str, *words: str) -> Callable[[Any], Any]:
    """Who does what was asked for; nobody loads what the other one needs."""
    if verb == "copy":
        from backends.mounted.helping.copies import copying

        return copying(*words)
    from backends.mounted.helping.counts import counting

    return counting(*words)


def _read(stream: BinaryIO) -> Any:
    head = stream.read(LENGTH.size)
    if len(head) < LENGTH.size:
        return None
    (length,) = LENGTH.unpack(head)
    data = stream.read(length)
    return parse(data) if len(data) == length else None
