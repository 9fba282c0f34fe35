"""What is said of a volume's outbox: words about changes, kept on the volume until the bus has them."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

#: A part of an outbox and its size in bytes. That of the newest is another one once anything more is written.
Mark: TypeAlias = tuple[str, int]


class Place(NamedTuple):
    """Where an entry of an outbox stands, in bytes from the beginning of its part."""

    part: str
    start: int
    end: int


class Written(NamedTuple):
    """One entry of an outbox."""

    data: bytes
    #: Where it ends, in bytes from the beginning of its part; the next one is behind that.
    end: int
    #: Whether the same may have been written before, by somebody who died then.
    again: bool
