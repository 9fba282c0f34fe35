"""What everything that takes long has in common: who does it, how far it is, whether it is to end."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar
from uuid import UUID

import anyio
from loguru import logger

from bus.contract import Bus, Lease
from domain.envelope import Envelope, Origin, Reply, wrap_command, wrap_event
from domain.errors import (
    BackendUnavailableError,
    BusError,
    BusyError,
    DeadlineExceededError,
    InternalError,
    NotFoundError,
    PenstockError,
    Subject,
)
from domain.ids import VolumeName, uuid7
from domain.messages import Command, Event
from domain.task_events import TaskProgressed
from domain.tasks import TaskState, task_record

_T = TypeVar("_T")

#: Least time between two events that tell how far a task is, and between two looks whether it is cancelled.
_PROGRESS_SECONDS: Final = 1.0


class CancelledByWishError(Exception):
    """Somebody wants the task to end."""


@dataclass(frozen=True, slots=True)
class GivenUp:
    """Why a task ends before all of it was done."""

    state: TaskState
    #: What the command that gives it up says of that, see `domain.messages.Reason`.
    reason: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a task is; totals are 0 where nobody has counted."""

    items: int = 0
    items_total: int = 0
    size_bytes: int = 0
    size_bytes_total: int = 0


@dataclass(slots=True)
class RunningTask:
    """One attempt at a task, by whoever holds its lease."""

    id: UUID
    volume: VolumeName
    bus: Bus
    lease: Lease
    is_cancellable: bool = True
    #: When somebody was last told how far it is, and when it was last looked whether it is cancelled.
    looked: float = field(default_factory=anyio.current_time)

    async def step(self, progress: Progress) -> None:
        """Say how far it is, now and then; call often.

        Raises:
            CancelledByWishError: it is to end.
            FencedError: somebody else does it.
        """
        await self.lease.confirm()
        if anyio.current_time() < self.looked + _PROGRESS_SECONDS:
            return
        await self.check_cancelled()
        await self.tell_progress(progress)

    async def tell_progress(self, progress: Progress) -> None:
        """Say how far it is, now."""
        await self.tell(
            TaskProgressed(
                volume=self.volume,
                task=self.id,
                items=progress.items,
                items_total=progress.items_total,
                size_bytes=progress.size_bytes,
                size_bytes_total=progress.size_bytes_total,
            )
        )

    async def check_cancelled(self) -> None:
        """Raise CancelledByWishError if the task is to end."""
        self.looked = anyio.current_time()
        if not self.is_cancellable:
            return
        (fields,) = await self.bus.catalogue.fields([task_record(self.id)])
        if fields is not None and fields.get("cancelling") == "1":
            raise CancelledByWishError

    async def tell(self, event: Event) -> None:
        """Publish an event of what was done."""
        clock = self.bus.clock
        await self.bus.events.publish(wrap_event(event, id=clock.new_id(), time=clock.now(), origin=self._origin))

    async def send(self, command: Command, repetition: str) -> None:
        """Send a command, as the one of its kind for this task and repetition."""
        await self.bus.commands.publish(self._wrap(command, self.volume, repetition))

    async def ask(self, command: Command, volume: VolumeName, repetition: str, timeout_seconds: float) -> Reply:
        """Have a command done by any volume's actor. Raises as `CommandQueue.request`."""
        envelope = self._wrap(command, volume, repetition)
        return await self.bus.commands.request(envelope, timeout_seconds=timeout_seconds)

    def _wrap(self, command: Command, volume: VolumeName, repetition: str) -> Envelope:
        id_ = derived_id(self.id, f"{command.type}:{repetition}")
        return wrap_command(command, id=id_, volume=volume, time=self.bus.clock.now(), origin=self._origin)

    @property
    def _origin(self) -> Origin:
        return Origin(actor="worker", cause=self.id)


async def attempt(doing: Awaitable[_T]) -> _T | GivenUp | None:
    """Do a task; None: somebody else has brought it to its end.

    Raises:
        BusError, BackendUnavailableError, BusyError, DeadlineExceededError: not now; another attempt may do it.
    """
    try:
        return await doing
    except CancelledByWishError:
        return GivenUp(TaskState.CANCELLED)
    except (BusError, BackendUnavailableError, BusyError, DeadlineExceededError):
        raise
    except Exception as error:  # noqa: BLE001  what fails by a defect would fail again for ever
        if isinstance(error, NotFoundError) and error.subject is Subject.TASK:
            return None
        failure = _as_failure(error)
        reason = {"code": failure.code, "retry": failure.retry, "detail": failure.message}
        return GivenUp(TaskState.FAILED, reason)


def _as_failure(error: Exception) -> PenstockError:
    """What is told of an error that ends a task; a defect is logged, and told without its details."""
    if isinstance(error, PenstockError):
        return error
    logger.exception("a task fails by a defect")
    return InternalError("an internal error; the worker's log has the details")


def derived_id(task: UUID, what: str) -> UUID:
    """An id that is always the same for the same step of the same task."""
    return uuid7(task.int >> 80, hashlib.sha256(task.bytes + what.encode()).digest())
