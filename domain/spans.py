"""Telling a tracing system what is done, where there is one; the trace context itself travels without it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

from domain.envelope import Trace

#: Values a span can carry.
Attributes = Mapping[str, str | int | float]


class Spans(Protocol):
    """Makes spans. Each gives the context that what happens inside it belongs to."""

    def serving(self, name: str, parent: Trace, attributes: Attributes) -> AbstractContextManager[Trace]:
        """A request from outside is answered."""

    def handling(self, name: str, origin: Trace, attributes: Attributes) -> AbstractContextManager[Trace]:
        """A command is handled, some time after `origin` asked for it."""


class NoSpans:
    """There is no tracing system: contexts are passed on as they came."""

    def serving(self, name: str, parent: Trace, attributes: Attributes) -> AbstractContextManager[Trace]:
        """Pass the context on."""
        del name, attributes
        return nullcontext(parent)

    def handling(self, name: str, origin: Trace, attributes: Attributes) -> AbstractContextManager[Trace]:
        """Pass the context on."""
        del name, attributes
        return nullcontext(origin)
