"""An outcome as an owner writes it down outside the bus, so that it outlives whatever the bus forgets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from bus.codec import (
    decode_envelope,
    decode_reply,
    encode_envelope,
    encode_reply,
    milliseconds,
    pack,
    seconds,
    unpack,
)
from domain.envelope import Envelope, Reply
from domain.errors import MalformedEventError


@dataclass(frozen=True, slots=True)
class Memo:
    """What became of one command."""

    reply: Reply
    events: Sequence[Envelope]
    #: When it was written down.
    time: float

    def encode(self) -> bytes:
        """As bytes."""
        return pack(
            [milliseconds(self.time), encode_reply(self.reply), [encode_envelope(event) for event in self.events]]
        )

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read what `encode` wrote; what later versions append is passed over.

        Raises:
            MalformedEventError: the bytes are no memo.
        """
        try:
            time, reply, events = unpack(data)[:3]
            return cls(decode_reply(reply), [decode_envelope(event) for event in events], seconds(time))
        except (ValueError, TypeError) as error:
            raise MalformedEventError(f"not a memo: {error}") from error
