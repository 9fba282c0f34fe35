"""A request's trace: through the envelope, the actor and the events; with and without OpenTelemetry."""

from __future__ import annotations

from pathlib import Path

import pytest
from harness.world import FOLDER, World, open_world
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from domain.spans import NoSpans
from ops.tracing import OpenTelemetrySpans, configured_spans

pytestmark = pytest.mark.anyio

TRACE = "0af7651916cd43dd8448eb211c80319c"
HEADERS = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01", "tracestate": "vendor=x"}
CREATE = {"volume": "disk", "vfid": FOLDER}


async def test_without_tracing_the_context_is_passed_on_unchanged(world: World) -> None:
    await world.manager("POST", "/folder/create", CREATE, headers=HEADERS)
    for event in world.events():
        assert (event.origin.trace.parent, event.origin.trace.state) == (HEADERS["traceparent"], "vendor=x")


async def test_spans_belong_to_one_trace_from_the_request_to_the_events(tmp_path: Path) -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    async with open_world(tmp_path, OpenTelemetrySpans(provider)) as world:
        assert (await world.manager("POST", "/folder/create", CREATE, headers=HEADERS)).status == 204
        assert (await world.manager("GET", "/volumes")).status == 200
        events = world.events()
    spans = {span.name: span for span in exporter.get_finished_spans()}
    served, handled = spans["POST /folder/create"], spans["vfolder.create"]
    for span in (served, handled):
        assert f"{span.context.trace_id:032x}" == TRACE
    assert f"{served.parent.span_id:016x}" == "b7ad6b7169203331"
    assert handled.parent.span_id == served.context.span_id
    assert [link.context.span_id for link in handled.links] == [served.context.span_id]
    assert handled.attributes["penstock.volume"] == "disk"
    assert {event.origin.trace.parent for event in events} == {f"00-{TRACE}-{handled.context.span_id:016x}-01"}
    other = spans["GET /volumes"]
    assert other.parent is None
    assert f"{other.context.trace_id:032x}" != TRACE


@pytest.mark.parametrize("environment", [{}, {"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "x"}])
def test_tracing_is_off_unless_it_is_configured(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_TRACES_EXPORTER"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert isinstance(configured_spans("gateway"), NoSpans)


def test_tracing_is_on_where_it_is_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "console")
    assert isinstance(configured_spans("gateway"), OpenTelemetrySpans)
