"""Spans for OpenTelemetry, if its SDK is installed and told where to send them.

It is configured by its own environment (OpenTelemetry SDK configuration): `OTEL_EXPORTER_OTLP_ENDPOINT` or
`OTEL_TRACES_EXPORTER`, `OTEL_SERVICE_NAME`, sampling and so on. Without these nothing is imported.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from loguru import logger

from domain.envelope import Trace
from domain.spans import Attributes, NoSpans, Spans
from ops.version import VERSION

_CONFIGURED_BY = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_TRACES_EXPORTER")


def configured_spans(role: str) -> Spans:
    """Spans as the environment asks for them."""
    if os.environ.get("OTEL_TRACES_EXPORTER") == "none" or not any(map(os.environ.get, _CONFIGURED_BY)):
        return NoSpans()
    try:
        return OpenTelemetrySpans(_provider(role))
    except ImportError as error:
        logger.warning("tracing is configured, but its packages are missing: {}", error)
        return NoSpans()


def _provider(role: str) -> Any:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter

    exporter: SpanExporter
    if os.environ.get("OTEL_TRACES_EXPORTER") == "console":
        exporter = ConsoleSpanExporter()
    else:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # type: ignore[import-not-found,unused-ignore]
            OTLPSpanExporter,
        )

        exporter = OTLPSpanExporter()
    name = os.environ.get("OTEL_SERVICE_NAME", f"penstock-{role}")
    provider = TracerProvider(resource=Resource.create({"service.name": name, "service.version": VERSION}))
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider


class OpenTelemetrySpans:
    """Spans of one provider."""

    def __init__(self, provider: Any) -> None:
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._tracer = provider.get_tracer("penstock", VERSION)
        self._propagator = TraceContextTextMapPropagator()

    @contextmanager
    def serving(self, name: str, parent: Trace, attributes: Attributes) -> Iterator[Trace]:
        """A server span, child of the caller's."""
        from opentelemetry.trace import SpanKind

        with self._tracer.start_as_current_span(
            name, context=self._context(parent), kind=SpanKind.SERVER, attributes=dict(attributes)
        ):
            yield self._present()

    @contextmanager
    def handling(self, name: str, origin: Trace, attributes: Attributes) -> Iterator[Trace]:
        """A consumer span in the same trace, linked to the span that asked for it."""
        from opentelemetry.trace import Link, SpanKind, get_current_span

        context = self._context(origin)
        asked = get_current_span(context).get_span_context()
        links = [Link(asked)] if asked.is_valid else []
        with self._tracer.start_as_current_span(
            name, context=context, kind=SpanKind.CONSUMER, links=links, attributes=dict(attributes)
        ):
            yield self._present()

    def _context(self, trace: Trace) -> Any:
        from opentelemetry.context import Context

        # An empty context, not the present one: tasks that happen to run here have nothing to do with it.
        return self._propagator.extract({"traceparent": trace.parent, "tracestate": trace.state}, Context())

    def _present(self) -> Trace:
        carrier: dict[str, str] = {}
        self._propagator.inject(carrier)
        return Trace(carrier.get("traceparent", ""), carrier.get("tracestate", ""))
