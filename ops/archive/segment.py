"""One file of an archive: messages in the order of their stream.

    <series>/<first position>.open                  being written: frames, see `backends.mounted.frames`
    <series>/<first position>.msgpack.zst           closed: the same frames, compressed with Zstandard (RFC 8878)
    <series>/<first position>.json                  what is in the closed one: positions, times, volumes, types

A frame is the msgpack array `[position, id, bytes]`, with the bytes as they stood on the stream. Blocking.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, Self
from uuid import UUID

import zstandard

from backends.mounted.frames import framed, frames
from bus.codec import decode_envelope, pack, unpack
from bus.contract import Position, Stored
from domain.errors import MalformedEventError
from ops.durable import write_durably

OPEN: Final = ".open"
CLOSED: Final = ".msgpack.zst"
INDEX: Final = ".json"
_LEVEL: Final = 6
#: Largest segment that is read, unpacked, in bytes: far above what is ever written.
_MAX_BYTES: Final = 1 << 30


@dataclass(frozen=True, slots=True)
class Contents:
    """What a closed segment holds, so that most segments need not be opened to find something."""

    first: str
    last: str
    from_time: float
    until_time: float
    count: int
    volumes: Mapping[str, int]
    types: Mapping[str, int]
    sha256: str

    @classmethod
    def of(cls, messages: Sequence[Stored], data: bytes) -> Self:
        """Sum up messages that were compressed to these bytes."""
        envelopes = [message.envelope for message in messages if message.envelope]
        return cls(
            first=messages[0].position.entry,
            last=messages[-1].position.entry,
            from_time=messages[0].time,
            until_time=messages[-1].time,
            count=len(messages),
            volumes=dict(Counter(str(envelope.volume) for envelope in envelopes)),
            types=dict(Counter(envelope.type for envelope in envelopes)),
            sha256=sha256(data).hexdigest(),
        )

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read an index file."""
        return cls(**json.loads(path.read_text()))


def encode(messages: Iterable[Stored]) -> bytes:
    """Messages as frames."""
    return framed(pack([message.position.entry, message.id.bytes, message.original]) for message in messages)


def decode(data: bytes) -> Iterator[Stored]:
    """Messages of frames."""
    for frame in frames(data):
        position, id_, original = unpack(frame)[:3]
        yield _stored(position, id_, original)


def _stored(position: str, id_: bytes, original: bytes) -> Stored:
    try:
        envelope = decode_envelope(original)
    except MalformedEventError:
        envelope = None
    time = int(position.partition("-")[0]) / 1000
    return Stored(Position(position), time, UUID(bytes=id_), envelope, original)


def read_closed(path: Path) -> list[Stored]:
    """All messages of a closed segment.

    Raises:
        MalformedEventError: it is damaged.
    """
    try:
        data = zstandard.ZstdDecompressor().decompress(path.read_bytes(), max_output_size=_MAX_BYTES)
    except zstandard.ZstdError as error:
        raise MalformedEventError(f"{path}: {error}") from error
    return list(decode(data))


def close(path: Path) -> None:
    """Compress an open segment, write its index, and remove it; each step may be the last. Repeat-safe."""
    messages = list(decode(path.read_bytes()))
    base = path.with_suffix("")
    if messages:
        data = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True).compress(encode(messages))
        write_durably(Path(f"{base}{CLOSED}"), data)
        contents: dict[str, Any] = asdict(Contents.of(messages, data))
        write_durably(Path(f"{base}{INDEX}"), json.dumps(contents, indent=1).encode())
    path.unlink()
