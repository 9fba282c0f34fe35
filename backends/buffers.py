"""Lists of buffers, as vectored calls of the kernel take them (writev(2))."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeAlias

Piece: TypeAlias = bytes | memoryview

#: Most buffers one call takes (IOV_MAX of Linux).
IOV_MAX: Final = 1024


def behind(pieces: Sequence[Piece], count: int) -> list[Piece]:
    """What is left of buffers when the first `count` bytes of them are dealt with."""
    whole = 0
    while whole < len(pieces) and count >= len(pieces[whole]):
        count -= len(pieces[whole])
        whole += 1
    rest = list(pieces[whole:])
    if count:
        rest[0] = memoryview(rest[0])[count:]
    return rest
