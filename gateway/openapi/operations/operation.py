"""One method of one path: what it takes and what it answers. Its words come from its handler."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from gateway.openapi.fields import Field
from gateway.openapi.refusals import Refusals

Model = type[BaseModel]


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer that is no problem document."""

    status: int
    words: str
    #: What its JSON is; None: it has none.
    model: Model | None = None
    #: Media types of a body that is no JSON.
    media: tuple[str, ...] = ()
    #: Names of header fields it has, or may have.
    fields: tuple[str, ...] = ()
    #: What the events of a stream are.
    event: Model | None = None


@dataclass(frozen=True, slots=True)
class Operation:
    """What can be asked in one way."""

    replies: tuple[Reply, ...]
    refusals: Refusals = ()
    #: Parameters of the JSON body, of the query.
    body: Model | None = None
    query: Model | None = None
    #: A body, or a query, that is right.
    example: Mapping[str, Any] = field(default_factory=dict)
    #: Header fields it looks at.
    fields: tuple[Field, ...] = ()
    #: Names of header fields all its answers have.
    always: tuple[str, ...] = ()
    #: Media types of the bytes it takes.
    bytes: tuple[str, ...] = ()
    #: Names of security schemes, of which one is enough; none: anybody may ask.
    security: tuple[str, ...] = ()
    #: Whether it is only there for those who still ask.
    deprecated: bool = False


Table = Mapping[tuple[str, str], Operation]
