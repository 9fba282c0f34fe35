"""Events, as they are streamed."""

from __future__ import annotations

from uuid import UUID

from pydantic import Field, JsonValue

from gateway.openapi.answers.answer import Answer


class StreamedEvent(Answer):
    """`data` of an event."""

    id: UUID = Field(description="always the same, however often it comes")
    type: str
    schema_version: int = Field(ge=1)
    volume: str
    key: str = Field(description="what it is about; events of one key come in order")
    time: float = Field(description="Unix time in seconds")
    actor: str = Field(description="who asked for what led to it")
    cause: UUID | None = Field(description="the command that led to it")
    correlation: UUID | None
    traceparent: str | None
    body: dict[str, JsonValue]
