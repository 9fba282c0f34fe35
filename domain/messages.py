"""What every command and event body has in common.

Rules: bodies are frozen; inside one schema version fields are only added, with a default, so an older
reader ignores what it does not know; anything else is a new schema version. A message says in words who
publishes and who consumes it, because the events page of the documentation is made from these classes.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field

from domain.errors import ErrorCode, Retry
from domain.ids import VolumeName


class Message(BaseModel):
    """Body of an envelope."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    #: Dotted name on the wire.
    type: ClassVar[str]
    #: Version of the body's schema.
    schema_version: ClassVar[int] = 1
    #: Who publishes it, in words.
    publisher: ClassVar[str]
    #: Who consumes it, in words.
    consumer: ClassVar[str]

    def body(self) -> dict[str, object]:
        """The fields in their wire form: strings, numbers, booleans, lists, maps; absent ones left out."""
        return self.model_dump(mode="json", exclude_none=True)


class Reason(BaseModel):
    """What a message says of why something came to its end before all of it was done."""

    code: ErrorCode | None = Field(None, description="what went wrong, wire-stable; absent: it was cancelled")
    retry: Retry = Field(Retry.NEVER, description="whether the same may succeed later")
    detail: str = Field("", description="a sentence for people")


class Command(Message):
    """A wish to change something on one volume. Handled by the owner of the volume's lane, in order per key."""

    publisher = "manager, or the gateway on its behalf"
    consumer = "the actor of the volume"
    #: Whether it waits for everything before it in the lane and holds up everything behind it.
    exclusive: ClassVar[bool] = False

    @property
    def key(self) -> str:
        """Commands with the same key take effect in the order they were accepted."""
        raise NotImplementedError(self.type)


class Event(Message):
    """Something that has happened on one volume. Never refused, never changed afterwards."""

    publisher = "the actor of the volume"
    consumer = "manager, gateways, operators"

    volume: VolumeName
