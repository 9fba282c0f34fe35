"""Questions to Prometheus that Backend.AI's documentation asks of its storage proxy, for the routes there are.

They select by the label `service_group`, which the scrape configuration adds (`configs/prometheus.yml`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Query:
    """One question."""

    title: str
    expression: str


_DURATION: Final = "backendai_api_request_duration_sec"
_BUCKET: Final = f"{_DURATION}_bucket"


def _count(select: str = "", by: str = "") -> str:
    return _sum("backendai_api_request_count_total", select, by)


def _sum(metric: str, select: str, by: str = "") -> str:
    labels = ", ".join(['service_group="storage-proxy"', *([select] if select else [])])
    grouped = f" by ({by})" if by else ""
    return f"sum(rate({metric}{{{labels}}}[5m])){grouped}"


def _p95(select: str) -> str:
    return f"histogram_quantile(0.95, {_sum(_BUCKET, select, 'le')})"


_UPLOAD: Final = 'endpoint="/upload"'
_DOWNLOAD: Final = 'endpoint="/download"'
_LIST: Final = 'endpoint="/folder/file/list"'

QUERIES: Final = (
    Query("operations by endpoint", _count("", "method, endpoint, status_code")),
    Query("failed operations", _count('status_code=~"[45].."', "endpoint, status_code, error_detail")),
    Query("folders created", _count('endpoint="/folder/create"')),
    Query("uploads: 95th percentile of duration", _p95(_UPLOAD)),
    Query("downloads: 95th percentile of duration", _p95(_DOWNLOAD)),
    Query("uploads", _count(_UPLOAD)),
    Query("downloads", _count(_DOWNLOAD)),
    Query(
        "uploads: mean duration",
        _sum(f"{_DURATION}_sum", _UPLOAD) + " / " + _sum(f"{_DURATION}_count", _UPLOAD),
    ),
    Query("faults of the storage or of Penstock", _count('status_code=~"50[023]"', "endpoint, error_detail")),
    Query(
        "slow operations (between 1 and 10 seconds)",
        _sum(_BUCKET, 'le="10.0"', "endpoint") + " - " + _sum(_BUCKET, 'le="1.0"', "endpoint"),
    ),
    Query("commands without an answer in time", _count('status_code="504"', "endpoint")),
    Query("directory listings", _count(_LIST)),
    Query("directory listings: 95th percentile of duration", _p95(_LIST)),
    Query("looks at quotas", _count('endpoint=~".*quota.*"', "endpoint")),
    Query("limits that were hit", _count('operation="check-limit"')),
    Query("permissions that were missing", _count('status_code="403"', "endpoint")),
    Query("tokens that did not hold", _count('status_code=~"400|401", endpoint=~"/upload|/download|/files"')),
    Query("share of successes", _count('status_code=~"2.."') + " / " + _count()),
    Query("all requests", _count()),
)
