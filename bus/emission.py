"""An event on its way to the bus, as it is written down elsewhere until the bus has it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

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
from domain.catalogue import Unindex
from domain.envelope import Envelope
from domain.errors import MalformedEventError


@dataclass(frozen=True, slots=True)
class EmittedRecord:
    """What a shared record is from the step on that appends an event."""

    name: str
    document: Mapping[str, object]
    keep_seconds: float
    #: At which whoever changes it has known it, 0: not there. It is not due any more then.
    revision: int = 0
    #: What is counted no more from then on.
    changes: Sequence[Unindex] = ()

    def told(self) -> list[object]:
        """As `parse` reads it."""
        counted_out = [[change.index, change.member] for change in self.changes]
        document = encode_document(self.document)
        return [self.name, document, milliseconds(self.keep_seconds), self.revision, counted_out]

    @classmethod
    def parse(cls, told: Sequence[Any]) -> Self:
        """Read what `told` has written. Raises ValueError, TypeError, LookupError, MalformedEventError."""
        name, document, keep, *more = told
        record = cls(str(name), decode_document(document), seconds(keep))
        if len(more) < 2:  # as it was written once
            return record
        changes = tuple(Unindex(str(index), str(member)) for index, member in more[1])
        return replace(record, revision=int(more[0]), changes=changes)


@dataclass(frozen=True)
class Emission:
    """An event no command led to, and what else becomes known with it."""

    event: Envelope
    record: EmittedRecord | None = None

    @cached_property
    def event_data(self) -> bytes:
        """The event as the bus has it."""
        return encode_envelope(self.event)

    def encode(self) -> bytes:
        """As bytes."""
        return pack([self.event_data, self.record and self.record.told()])

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read what `encode` wrote; what later versions append is passed over.

        Raises:
            MalformedEventError: the bytes are no emission.
        """
        try:
            event, told = unpack(data)[:2]
            return cls(decode_envelope(event), told and EmittedRecord.parse(told))
        except (ValueError, TypeError, LookupError) as error:
            raise MalformedEventError(f"not an emission: {error}") from error
