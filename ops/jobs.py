"""The job queue: dramatiq on a Redis database of its own.

dramatiq only carries jobs to workers; whether a job is done, is told by what it does to the volume and by the
command it sends at the end. So there are no retries and no results here: the janitor starts again what is left.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

import anyio
import dramatiq
from dramatiq.brokers.redis import RedisBroker
from redis.exceptions import RedisError

from actors.jobs.contract import Job
from bus.settings import BusSettings
from domain.errors import BusBrokenError, InvalidRequestError
from ops.settings import Settings

_NAMESPACE: Final = "penstock-jobs"
_QUEUE: Final = "storage"


def jobs_url(settings: Settings) -> str:
    """Where the job queue is: as set, or the database behind the bus's."""
    if settings.worker.url is not None:
        return settings.worker.url.get_secret_value()
    return next_database(settings.bus)


def next_database(settings: BusSettings) -> str:
    """The bus's Redis, one database further.

    Raises:
        InvalidRequestError: the bus's URL has no database number to count from.
    """
    parts = urlsplit(settings.url.get_secret_value())
    number = parts.path.strip("/") or "0"
    if parts.scheme == "unix" or not number.isdigit():
        raise InvalidRequestError("worker.url is needed: bus.url does not end in a database number")
    return urlunsplit(parts._replace(path=f"/{int(number) + 1}"))


def open_broker(url: str) -> RedisBroker:
    """Connect to the job queue; with no middleware, see above."""
    return RedisBroker(url=url, namespace=_NAMESPACE, middleware=[])  # type: ignore[no-untyped-call]


class JobSender:
    """Starts jobs from an actor process."""

    def __init__(self, broker: RedisBroker) -> None:
        self._broker = broker

    async def start(self, job: Job) -> None:
        """Have a worker do something."""
        message: dramatiq.Message[Any] = dramatiq.Message(
            queue_name=_QUEUE,
            actor_name=job.name,
            args=(),
            kwargs=job.model_dump(mode="json"),
            options={},
            message_id=str(job.id),
        )
        try:
            await anyio.to_thread.run_sync(self._enqueue, message)
        except (RedisError, OSError) as error:
            raise BusBrokenError(f"the job queue is away: {type(error).__name__}") from error

    def _enqueue(self, message: dramatiq.Message[Any]) -> None:
        self._broker.declare_queue(_QUEUE)
        self._broker.enqueue(message)


def declare(broker: RedisBroker, name: str, run: Callable[..., None]) -> None:
    """Have `run` called with a job's fields, on a worker thread, for each job of a kind."""
    dramatiq.actor(actor_name=name, queue_name=_QUEUE, broker=broker)(run)
