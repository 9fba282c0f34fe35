"""The segments of one stream, in one directory: written at the end, read from anywhere. Blocking."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from bus.contract import Position, Stored
from bus.filters import Filter
from bus.streams.reader import parse_entry
from ops.archive.segment import CLOSED, INDEX, OPEN, Contents, close, decode, encode, read_closed
from ops.durable import sync_names

#: Size and age at which an open segment is closed, in bytes and seconds.
_SEGMENT_BYTES: Final = 16 << 20
_SEGMENT_SECONDS: Final = 3600.0


class Series:
    """One stream's archive. One writer at a time."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._open: Path | None = None
        self._begun = 0.0

    def resume(self) -> Position:
        """Make ready for writing; tells behind which position to go on.

        What an earlier writer was in the middle of is completed, and what it tore off is dropped.
        """
        self._directory.mkdir(parents=True, exist_ok=True)
        for left in self._directory.glob("*.new"):
            left.unlink()
        for found in self._directory.glob(f"*{OPEN}"):
            close(found)
        indexed = [contents.last for contents in self._contents()]
        return Position(max(indexed, key=parse_entry, default="0"))

    def append(self, messages: Sequence[Stored]) -> None:
        """Write messages durably behind those before."""
        if self._open is None:
            self._open = self._directory / f"{_name(messages[0].position)}{OPEN}"
            self._begun = time.monotonic()
        with self._open.open("ab") as file:
            file.write(encode(messages))
            file.flush()
            os.fsync(file.fileno())
            size = file.tell()
        sync_names(self._directory)
        if size >= _SEGMENT_BYTES:
            self.close()

    def close_if_old(self) -> None:
        """Close the open segment if it has been open for long."""
        if self._open is not None and time.monotonic() - self._begun >= _SEGMENT_SECONDS:
            self.close()

    def close(self) -> None:
        """Close the open segment, if there is one."""
        if self._open is not None:
            close(self._open)
            self._open = None

    def read(self, wanted: Filter) -> Iterator[Stored]:
        """Messages that match, oldest first; segments whose index rules them out are not opened.

        Raises:
            MalformedEventError: a segment is damaged.
        """
        for contents in sorted(self._contents(), key=lambda found: parse_entry(found.first)):
            if _may_hold(contents, wanted):
                path = self._directory / f"{_name(Position(contents.first))}{CLOSED}"
                yield from _matching(read_closed(path), wanted)
        for path in sorted(self._directory.glob(f"*{OPEN}")):
            yield from _matching(list(decode(path.read_bytes())), wanted)

    def _contents(self) -> list[Contents]:
        return [Contents.read(path) for path in self._directory.glob(f"*{INDEX}")]


def _name(position: Position) -> str:
    """Positions as names that sort like them."""
    ms, seq = parse_entry(position.entry)
    return f"{ms:016}-{seq:06}"


def _matching(messages: Sequence[Stored], wanted: Filter) -> Iterator[Stored]:
    return (message for message in messages if message.envelope is None or wanted.matches(message.envelope))


def _may_hold(contents: Contents, wanted: Filter) -> bool:
    return (
        (not wanted.volume or wanted.volume in contents.volumes)
        and (not wanted.types or any(wanted.matches_type(name) for name in contents.types))
        # The time a message was made is before the time it was stored, by little.
        and (not wanted.since or contents.until_time >= wanted.since)
    )
