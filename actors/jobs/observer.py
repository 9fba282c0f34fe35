"""What jobs tell of themselves, for whoever counts."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Final, Protocol

from domain.tasks import TaskKind, TaskState

#: Says how a task ended; not called where this attempt was not the last.
Ended = Callable[[TaskState], None]


class JobObserver(Protocol):
    """Hears of jobs."""

    def doing(self, kind: TaskKind) -> AbstractContextManager[Ended]:
        """An attempt at a task goes on until the context ends."""


class SilentObserver:
    """Hears nothing."""

    def doing(self, kind: TaskKind) -> AbstractContextManager[Ended]:
        """Nothing is done with it."""
        del kind
        return nullcontext(_ignore)


def _ignore(state: TaskState) -> None:
    del state


SILENT: Final[JobObserver] = SilentObserver()
