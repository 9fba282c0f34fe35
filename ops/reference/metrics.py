"""The page docs/metrics.md."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase

from ops.metrics import ActorMetrics, BackendMetrics, BusMetrics, GatewayMetrics, WorkerMetrics
from ops.reference.queries import QUERIES

_HEAD: Final = """\
# Metrics

<!-- Written by `make docs` from the metrics' own declarations. Do not edit. -->

Every role answers `/metrics` on its internal port. Counters end in `_total` there, histograms in `_bucket`, `_sum`
and `_count`. The request metrics have the names, labels and buckets of Backend.AI's storage proxy.
"""
_QUERIES_HEAD: Final = """\
## Queries

What Backend.AI's documentation asks of its storage proxy, with the endpoints Penstock and the proxy really have. A
limit that is hit is answered 413 here, not 403. `service_group` is a label the scrape configuration adds, see
`configs/prometheus.yml`.
"""
_ROLES: Final = {
    "Gateway": GatewayMetrics,
    "Actor": ActorMetrics,
    "Worker": WorkerMetrics,
    "Bus (gateway, actor and worker)": BusMetrics,
    "Storage (gateway, actor and worker)": BackendMetrics,
}


def metrics_page() -> str:
    """Every metric with its labels and meaning."""
    return "\n".join([_HEAD, *(part for role in _ROLES for part in _role(role)), *_queries()])


def _queries() -> Iterator[str]:
    yield _QUERIES_HEAD
    for query in QUERIES:
        yield f"{query.title}:\n\n```promql\n{query.expression}\n```\n"


def _role(role: str) -> Iterator[str]:
    registry = CollectorRegistry()
    holder = _ROLES[role](registry)
    yield f"## {role}\n\n| metric | type | labels | meaning |\n|---|---|---|---|"
    for metric in vars(holder).values():
        if isinstance(metric, MetricWrapperBase):
            described = next(iter(metric.collect()))
            labels = ", ".join(f"`{label}`" for label in metric._labelnames)  # noqa: SLF001  told nowhere else
            yield f"| `{described.name}` | {described.type} | {labels} | {described.documentation} |"
    yield ""
