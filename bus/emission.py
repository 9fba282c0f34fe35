"""An event on its way to the bus, as it is written down elsewhere until the bus has it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Self

from bus.codec import (
    decode_document,
    decode_envelope,
    encode_document,
    encode_envelope,
    milliseconds,
    pack,
    seconds,
    unpack,
)
from domain.envelope import Envelope
from domain.errors import MalformedEventError


@dataclass(frozen=True, slots=True)
class NewRecord:
    """A shared record that is made in the step that appends an event, unless it is there."""

    name: str
    document: Mapping[str, object]
    keep_seconds: float


@dataclass(frozen=True)
class Emission:
    """An event no command led to, and what else becomes known with it."""

    event: Envelope
    record: NewRecord | None = None

    @cached_property
    def event_data(self) -> bytes:
        """The event as the bus has it."""
        return encode_envelope(self.event)

    def encode(self) -> bytes:
        """As bytes."""
        record = self.record
        told = record and [record.name, encode_document(record.document), milliseconds(record.keep_seconds)]
        return pack([self.event_data, told])

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read what `encode` wrote; what later versions append is passed over.

        Raises:
            MalformedEventError: the bytes are no emission.
        """
        try:
            event, told = unpack(data)[:2]
            record = told and NewRecord(str(told[0]), decode_document(told[1]), seconds(told[2]))
            return cls(decode_envelope(event), record)
        except (ValueError, TypeError, LookupError) as error:
            raise MalformedEventError(f"not an emission: {error}") from error
