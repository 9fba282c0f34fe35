"""How Backend.AI's events look in Redis. Pure.

An anycast event is an entry of the stream `events` with the fields `name`, `source` and `args` (msgpack). A
broadcast one is a JSON object on the channel `events_all` with the same members, `args` in Base64; if it tells of a
background task it is kept at `bgtask.<id>` for five minutes as well.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import Any, Final

import msgpack

from bus.backendai.words import Anycast, Broadcast
from domain.errors import MalformedEventError

#: Where anycast events go, and where broadcast ones.
STREAM: Final = "events"
CHANNEL: Final = "events_all"
#: Entries the stream keeps, about; the managers' own producers trim it to as many.
STREAM_LENGTH: Final = 128
#: How long the last event of a task is kept, in seconds.
CACHE_SECONDS: Final = 300


def anycast_fields(event: Anycast, source: str) -> dict[bytes, bytes]:
    """The stream entry of an event."""
    return {b"name": event.name.encode(), b"source": source.encode(), b"args": _packed(event.arguments)}


def broadcast_text(event: Broadcast, source: str) -> str:
    """The channel message of an event."""
    arguments = base64.b64encode(_packed(event.arguments)).decode("ascii")
    return json.dumps({"name": event.name, "source": source, "args": arguments})


def cache_key(event: Broadcast) -> str:
    """Where an event of a task is kept; empty: it is not."""
    return f"bgtask.{event.task}" if event.task else ""


def note_key(event: str) -> str:
    """Where it is noted how much of one of our events was sent."""
    return f"penstock:carried:{event}"


@dataclass(frozen=True, slots=True)
class Heard:
    """An event somebody else has broadcast."""

    name: str
    arguments: tuple[Any, ...]


def parse_broadcast(data: bytes) -> Heard:
    """Read a channel message.

    Raises:
        MalformedEventError: it is none.
    """
    try:
        document = json.loads(data)
        arguments = msgpack.unpackb(base64.b64decode(document["args"], validate=True), use_list=False)
        return Heard(str(document["name"]), tuple(arguments))
    except (ValueError, KeyError, TypeError, RecursionError, msgpack.UnpackException) as error:
        raise MalformedEventError(f"no event of Backend.AI: {type(error).__name__}") from error


def _packed(arguments: tuple[object, ...]) -> bytes:
    packed: bytes = msgpack.packb(arguments, use_bin_type=True)
    return packed
