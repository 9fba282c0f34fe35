"""Everything that is counted, for Prometheus.

The request metrics have the names, labels and buckets of Backend.AI's storage proxy, so its dashboards work.
Several processes of one host share a directory of memory-mapped files (PROMETHEUS_MULTIPROC_DIR), so that each
of them can answer for all.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from loguru import logger
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from bus.contract import LaneStatus
from domain.ids import VolumeName
from domain.tasks import TaskKind, TaskState
from gateway.observer import Answered

_REQUEST_LABELS: Final = ("method", "endpoint", "domain", "operation", "error_detail", "status_code")
_REQUEST_BUCKETS: Final = (0.001, 0.01, 0.1, 0.5, 1, 2, 5, 10, 30, 60)
_TASK_BUCKETS: Final = (0.1, 1, 10, 30, 60, 300, 600)
_SHORT_BUCKETS: Final = (0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 5, 30)


def exposition(registry: CollectorRegistry) -> bytes:
    """The text Prometheus reads: of all processes that share a directory, else of this one. Blocking."""
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)


class GatewayMetrics:
    """What the gateway tells."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = Counter(
            "backendai_api_request_count", "Total number of API requests", _REQUEST_LABELS, registry=registry
        )
        self._seconds = Histogram(
            "backendai_api_request_duration_sec",
            "Duration of API requests in seconds",
            _REQUEST_LABELS,
            buckets=_REQUEST_BUCKETS,
            registry=registry,
        )
        self._bytes = Counter("penstock_transfer_bytes", "Bytes moved", ("volume", "direction"), registry=registry)
        self._uploads = Counter("penstock_uploads_finished", "Uploads finished", ("volume",), registry=registry)
        self._active = Gauge(
            "penstock_transfers_active",
            "Transfers under way",
            ("kind",),
            registry=registry,
            multiprocess_mode="livesum",
        )
        #: What counts requests with certain labels: to look it up takes longer than to count.
        self._children: dict[tuple[str, ...], tuple[Counter, Histogram]] = {}
        self._directions: dict[tuple[str, str], Counter] = {}

    def answered(self, answer: Answered) -> None:
        """A request was answered."""
        labels = (
            answer.method,
            answer.endpoint,
            answer.domain,
            answer.operation,
            answer.detail,
            str(answer.status),
        )
        requests, seconds = self._children.get(labels) or self._child(labels)
        requests.inc()
        seconds.observe(answer.seconds)

    def _child(self, labels: tuple[str, ...]) -> tuple[Counter, Histogram]:
        child = self._children[labels] = (self._requests.labels(*labels), self._seconds.labels(*labels))
        return child

    def _moved(self, volume: str, direction: str) -> Counter:
        child = self._directions.get((volume, direction))
        if child is None:
            child = self._directions[volume, direction] = self._bytes.labels(volume, direction)
        return child

    def received(self, volume: str, count: int) -> None:
        """Bytes of an upload were stored."""
        self._moved(volume, "upload").inc(count)

    def sent(self, volume: str, count: int) -> None:
        """Bytes of a download were sent."""
        self._moved(volume, "download").inc(count)

    def uploaded(self, volume: str) -> None:
        """An upload is whole at its destination."""
        self._uploads.labels(volume).inc()

    def transferring(self, kind: str, change: int) -> None:
        """A transfer began or ended."""
        self._active.labels(kind).inc(change)


class BusMetrics:
    """What the bus tells."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._accepted = Counter(
            "penstock_bus_commands_accepted",
            "Commands accepted, or recognised as repetitions",
            ("volume", "duplicate"),
            registry=registry,
        )
        self._refused = Counter(
            "penstock_bus_commands_refused",
            "Commands refused because the queue was full",
            ("volume",),
            registry=registry,
        )
        self._committed = Counter(
            "penstock_bus_commands_committed", "Outcomes committed", ("volume",), registry=registry
        )
        self._commit_seconds = Histogram(
            "penstock_bus_commit_seconds",
            "Duration of one commit",
            ("volume",),
            buckets=_SHORT_BUCKETS,
            registry=registry,
        )
        self._acquired = Counter(
            "penstock_lanes_acquired",
            "Volumes taken; not clean: the last owner had died",
            ("volume", "clean"),
            registry=registry,
        )
        self._fenced = Counter(
            "penstock_lanes_fenced", "Volumes lost to another owner", ("volume",), registry=registry
        )
        self._taken_over = Counter(
            "penstock_outbox_events", "Events taken over from volumes' outboxes", ("volume",), registry=registry
        )
        self._taken_over_seconds = Histogram(
            "penstock_outbox_seconds",
            "How long the oldest event of one step lay in its outbox",
            ("volume",),
            buckets=_SHORT_BUCKETS,
            registry=registry,
        )
        self._broken = Counter("penstock_bus_broken", "Connections lost", ("part",), registry=registry)

        self._trimmed = Counter(
            "penstock_bus_trimmed", "Old entries removed from streams", ("stream",), registry=registry
        )
        self._expired = Counter(
            "penstock_bus_readers_expired", "Readers events are not kept for any more", registry=registry
        )

    def trimmed(self, stream: str, entries: int) -> None:
        """Old entries were removed."""
        self._trimmed.labels(stream).inc(entries)

    def reader_expired(self, reader: str) -> None:
        """A reader was gone for too long; which one is in the log, for names have no limit."""
        del reader
        self._expired.inc()

    def accepted(self, volume: VolumeName, *, duplicate: bool) -> None:
        """A command was accepted, or recognised as a repetition."""
        self._accepted.labels(volume, str(duplicate).lower()).inc()

    def refused(self, volume: VolumeName) -> None:
        """A command was refused."""
        self._refused.labels(volume).inc()

    def committed(self, volume: VolumeName, commands: int, seconds: float) -> None:
        """Outcomes were committed."""
        self._committed.labels(volume).inc(commands)
        self._commit_seconds.labels(volume).observe(seconds)

    def acquired(self, volume: VolumeName, *, clean: bool) -> None:
        """A volume was taken."""
        self._acquired.labels(volume, str(clean).lower()).inc()

    def fenced(self, volume: VolumeName) -> None:
        """A volume was lost."""
        self._fenced.labels(volume).inc()

    def taken_over(self, volume: VolumeName, events: int, seconds: float) -> None:
        """Events were taken over from a volume's outbox."""
        self._taken_over.labels(volume).inc(events)
        self._taken_over_seconds.labels(volume).observe(seconds)

    def broken(self, part: str) -> None:
        """A connection was lost."""
        self._broken.labels(part).inc()


def _newest(name: str, meaning: str, registry: CollectorRegistry) -> Gauge:
    """A figure of a volume of which only its present owner's word counts."""
    return Gauge(name, meaning, ("volume",), registry=registry, multiprocess_mode="livemostrecent")


class ActorMetrics:
    """What actors tell."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._handled = Counter(
            "penstock_actor_commands",
            "Commands handled; the code is empty if they took effect",
            ("volume", "command", "code"),
            registry=registry,
        )
        self._seconds = Histogram(
            "penstock_actor_command_seconds",
            "Duration of one command, its repetitions included",
            ("volume", "command"),
            buckets=_SHORT_BUCKETS,
            registry=registry,
        )
        self._retried = Counter(
            "penstock_actor_retries", "Tries that failed for the moment", ("volume", "command"), registry=registry
        )
        self._held = Counter(
            "penstock_actor_held",
            "Commands left waiting for a member that knows them",
            ("volume", "command"),
            registry=registry,
        )
        self._owned = Gauge(
            "penstock_actor_volumes_owned",
            "Whether a volume has its actor",
            ("volume",),
            registry=registry,
            multiprocess_mode="livesum",
        )

        self._waiting = _newest("penstock_actor_queue_waiting", "Commands accepted and not done", registry)
        self._oldest = _newest(
            "penstock_actor_queue_oldest_seconds", "Age of the oldest command that is not done", registry
        )
        self._dead = _newest("penstock_actor_dead_letters", "Dead letters that wait for an operator", registry)
        self._floor = Gauge(
            "penstock_actor_events_held_back",
            "Whether a reader holds events back longer than they would be kept; which one tells `streams readers`",
            registry=registry,
            multiprocess_mode="livemax",
        )
        self._restored = Counter(
            "penstock_actor_outcomes_restored",
            "Outcomes put back from a volume's journal after the bus had lost them",
            ("volume",),
            registry=registry,
        )
        self._journal_missed = Counter(
            "penstock_actor_journal_missed",
            "Outcomes that could not be written to a volume's journal",
            ("volume",),
            registry=registry,
        )

    def queue(self, status: LaneStatus) -> None:
        """How a queue stands."""
        self._waiting.labels(status.volume).set(status.waiting)
        self._oldest.labels(status.volume).set(status.oldest_seconds or 0.0)
        self._dead.labels(status.volume).set(status.dead_letters)

    def floor(self, holder: str) -> None:
        """Whether events are held back; by whom is in the log, for names have no limit."""
        self._floor.set(1 if holder else 0)
        if holder:
            logger.warning("{} holds events back longer than they would be kept", holder)

    def restored(self, volume: VolumeName, outcomes: int) -> None:
        """Outcomes were put back."""
        self._restored.labels(volume).inc(outcomes)

    def journal_missed(self, volume: VolumeName, outcomes: int) -> None:
        """Outcomes could not be written down."""
        self._journal_missed.labels(volume).inc(outcomes)

    def handled(self, volume: VolumeName, command: str, seconds: float, code: str) -> None:
        """A command ended."""
        self._handled.labels(volume, command, code).inc()
        self._seconds.labels(volume, command).observe(seconds)

    def retried(self, volume: VolumeName, command: str) -> None:
        """A try failed for the moment."""
        self._retried.labels(volume, command).inc()

    def held(self, volume: VolumeName, command: str) -> None:
        """A command waits for a member that knows it."""
        self._held.labels(volume, command).inc()

    def owns(self, volume: VolumeName, *, owned: bool) -> None:
        """A volume was taken or given back."""
        self._owned.labels(volume).set(1 if owned else 0)


class WorkerMetrics:
    """What workers tell, in the names, labels and buckets Backend.AI has for background tasks."""

    _LABELS: Final = ("task_name", "status", "domain", "operation", "error_detail")

    def __init__(self, registry: CollectorRegistry) -> None:
        self._running = Gauge(
            "backendai_bgtask_count",
            "Background tasks under way",
            ("task_name",),
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._done = Counter(
            "backendai_bgtask_done_count", "Background tasks that ended", self._LABELS, registry=registry
        )
        self._seconds = Histogram(
            "backendai_bgtask_processing_time_sec",
            "Duration of the last attempt at a background task, in seconds",
            self._LABELS,
            buckets=_TASK_BUCKETS,
            registry=registry,
        )

    @contextmanager
    def doing(self, kind: TaskKind) -> Iterator[Callable[[TaskState], None]]:
        """An attempt at a task goes on until the context ends."""
        started = time.monotonic()

        def ended(state: TaskState) -> None:
            labels = (kind.value, f"bgtask_{state.value}", "", "", "")
            self._done.labels(*labels).inc()
            self._seconds.labels(*labels).observe(time.monotonic() - started)

        with self._running.labels(kind.value).track_inprogress():
            yield ended


class BackendMetrics:
    """What volumes tell."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._seconds = Histogram(
            "penstock_backend_call_seconds",
            "Duration of one blocking call on the storage, its wait for a thread included",
            ("volume", "operation", "failed"),
            buckets=_SHORT_BUCKETS,
            registry=registry,
        )
        #: Finding a child by its labels takes longer than counting does; there are few of them.
        self._children: dict[tuple[VolumeName, str, bool], Histogram] = {}

    def called(self, volume: VolumeName, operation: str, seconds: float, *, failed: bool) -> None:
        """A call ended."""
        child = self._children.get((volume, operation, failed))
        if child is None:
            child = self._seconds.labels(volume, operation.strip("_"), str(failed).lower())
            self._children[volume, operation, failed] = child
        child.observe(seconds)
