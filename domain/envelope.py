"""The envelope: what travels around a command or event, whatever its body.

Times are Unix seconds (UTC) of the bus's clock, with a resolution of one millisecond.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import IntFlag
from typing import Final
from uuid import UUID

from domain.errors import ErrorCode, Retry
from domain.ids import VolumeName, derived_id
from domain.messages import Command, Event

#: Bits of an event's number that count the events of one try of a command; those above count the tries before.
_NUMBER_BITS: Final = 16


class Flag(IntFlag):
    """Marks of an envelope."""

    NONE = 0
    #: Published by a replay, not by the first sender.
    REPLAY = 1


@dataclass(frozen=True, slots=True)
class Trace:
    """W3C Trace Context, passed on unchanged. Empty: not traced."""

    parent: str = ""
    state: str = ""


@dataclass(frozen=True, slots=True)
class Origin:
    """Who asked, for whom, and what led to it."""

    #: Who asked: `manager`, `worker`, an operator's name.
    actor: str = ""
    #: For whom: a tenant's name where there are several.
    tenant: str = ""
    #: The message that led to this one.
    cause: UUID | None = None
    #: The request at the edge that all of this belongs to.
    correlation: UUID | None = None
    trace: Trace = field(default_factory=Trace)


@dataclass(frozen=True, slots=True)
class Envelope:
    """One message with all that is needed to deliver, order, deduplicate and trace it."""

    #: UUID version 7 of a command, derived id of an event: the idempotency key.
    id: UUID
    type: str
    schema_version: int
    volume: VolumeName
    #: Ordering key; empty where order does not matter.
    key: str
    body: Mapping[str, object]
    #: When it was made.
    time: float
    #: When an answer is no longer of use; absent: never.
    deadline: float | None = None
    #: How many tries there were before it was redriven; 0: it never was.
    attempt: int = 0
    origin: Origin = field(default_factory=Origin)
    #: Channel on which somebody waits for the reply; empty: nobody.
    reply_to: str = ""
    flags: Flag = Flag.NONE
    #: The event it was made of, where that was here: it need not be read from its own body again.
    event: Event | None = field(default=None, compare=False, repr=False)

    def caused(self, event: Event, number: int, time: float) -> Envelope:
        """Wrap the n-th event of this command; its id, trace and origin follow from it.

        A command that was set aside and is tried again ends anew, so the event of that has another id.
        """
        origin = replace(self.origin, cause=self.id, correlation=self.origin.correlation or self.id)
        return Envelope(
            id=derived_id(self.id, (self.attempt << _NUMBER_BITS) + number),
            type=event.type,
            schema_version=event.schema_version,
            volume=self.volume,
            key=self.key,
            body=event.body(),
            time=time,
            origin=origin,
            event=event,
        )


def wrap_command(
    command: Command,
    *,
    id: UUID,  # noqa: A002  the field's own name
    volume: VolumeName,
    time: float,
    origin: Origin | None = None,
) -> Envelope:
    """Put a command into an envelope for the lane of `volume`."""
    return Envelope(
        id=id,
        type=command.type,
        schema_version=command.schema_version,
        volume=volume,
        key=command.key,
        body=command.body(),
        time=time,
        origin=origin or Origin(),
    )


def wrap_event(event: Event, *, id: UUID, time: float, origin: Origin | None = None) -> Envelope:  # noqa: A002
    """Put an event that no command led to into an envelope, e.g. a gateway's file event."""
    return Envelope(
        id=id,
        type=event.type,
        schema_version=event.schema_version,
        volume=event.volume,
        key=str(getattr(event, "folder", "")),
        body=event.body(),
        time=time,
        origin=origin or Origin(),
        event=event,
    )


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a command did not take effect."""

    code: ErrorCode
    retry: Retry
    detail: str
    #: What the failure is about, one of `domain.errors.Subject`.
    subject: str = ""


@dataclass(frozen=True, slots=True)
class Reply:
    """Answer to one command. Once given it never changes."""

    command: UUID
    failure: Failure | None = None
    result: Mapping[str, object] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether the command took effect."""
        return self.failure is None
