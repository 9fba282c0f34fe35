"""What is said of a background task, so that everybody who waits for one hears its end. Pure.

A manager of 26.3 has two ways to follow a task. Its event stream over HTTP hands on what a user is to see of each
event, and ends at any of done, partial success (shown as done), cancelled and failed. Its GraphQL subscription
knows updated, done, cancelled and failed; what it does not know it passes over, and waits on. Both look at what is
kept of the task as well, and that is the last word that was said of it.

Both show messages as text, and None as the word "None"; so there always is one, in the words of Backend.AI's own
tasks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from bus.backendai.words import Broadcast, Word

_STARTED: Final = "Task started"
_DONE: Final = "Task completed successfully"
_CANCELLED: Final = "Task cancelled"


def started(task: UUID | None) -> list[Word]:
    """It was accepted; of no task nothing is said, here and below."""
    return _said("bgtask_updated", task, 0, 0, _STARTED)


def updated(task: UUID | None, done: float, total: float, message: str) -> list[Word]:
    """It is so far."""
    return _said("bgtask_updated", task, done, total, message)


def done(task: UUID | None) -> list[Word]:
    """All of it is done."""
    return _said("bgtask_done", task, _DONE)


def partly_done(task: UUID | None, errors: Sequence[str]) -> list[Word]:
    """It is done but for these."""
    # Who knows partial success hears the errors, and has heard the end. A GraphQL subscription would wait for ever,
    # and so would all who find it kept as the last word: therefore the task is done as well, with the errors in the
    # message, which is all of them a client of a manager is shown.
    message = f"{_DONE}, but for: {'; '.join(errors)}"
    return [
        *_said("bgtask_partial_success", task, message, list(errors)),
        *_said("bgtask_done", task, message),
    ]


def cancelled(task: UUID | None) -> list[Word]:
    """It has ended because somebody wanted it to."""
    return _said("bgtask_cancelled", task, _CANCELLED)


def failed(task: UUID | None, detail: str) -> list[Word]:
    """It has ended because of this."""
    return _said("bgtask_failed", task, detail)


def _said(name: str, task: UUID | None, *more: str | float | list[str]) -> list[Word]:
    return [] if task is None else [Broadcast(name, (str(task), *more), str(task))]
