"""What is said of a volume's outbox: words about changes, kept on the volume until the bus has them."""

from __future__ import annotations

from typing import NamedTuple


class Written(NamedTuple):
    """One entry of an outbox."""

    data: bytes
    #: Where it ends, in bytes from the beginning of its part; the next one is behind that.
    end: int
    #: Whether the same may have been written before, by somebody who died then.
    again: bool
