"""Penstock's events in Backend.AI's words. Pure.

Names, arguments and their order are those of `backend.ai-common` 26.3: an anycast event reaches one manager, a
broadcast one all of them; what tells of a background task is also kept for those who ask later.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import singledispatch
from typing import Final
from uuid import UUID

from domain import events, task_events
from domain.envelope import Envelope
from domain.errors import ErrorCode
from domain.messages import Event

Argument = str | float | list[str] | None


@dataclass(frozen=True, slots=True)
class Anycast:
    """An event for one manager."""

    name: str
    arguments: tuple[Argument, ...]


@dataclass(frozen=True, slots=True)
class Broadcast:
    """An event for all who listen."""

    name: str
    arguments: tuple[Argument, ...]
    #: The background task it tells of; empty: none.
    task: str = ""


Word = Anycast | Broadcast

_CANCELLED: Final = "cancelled"


def words(envelope: Envelope, event: Event) -> list[Word]:
    """What an event is to Backend.AI's manager; mostly nothing."""
    return _words(event, envelope.origin.cause)


@singledispatch
def _words(event: Event, cause: UUID | None) -> list[Word]:
    """Most events mean nothing to it.

    Args:
        cause: the command that led to the event, which is the background task the manager was told of.
    """
    del event, cause
    return []


@_words.register
def _(event: events.VFolderDeleted, cause: UUID | None) -> list[Word]:
    del cause
    return [Anycast("vfolder_deletion_success", (str(event.folder),)), _done(event.trash)]


@_words.register
def _(event: events.VFolderDeleteFailed, cause: UUID | None) -> list[Word]:
    if event.code is ErrorCode.NOT_FOUND:
        # Deleting what is not there is a success to the manager, which wants it gone.
        return [Anycast("vfolder_deletion_success", (event.subject,)), _done(cause)]
    return [Anycast("vfolder_deletion_failure", (event.subject, event.detail)), _failed(cause, event.detail)]


@_words.register
def _(event: events.CloneCompleted, cause: UUID | None) -> list[Word]:
    success = Anycast("vfolder_clone_success", (str(event.source), str(event.destination)))
    task = event.task or cause
    if not event.changed:
        return [success, _done(task)]
    changed = [f"{path}: changed while it was copied" for path in event.changed]
    partly = Broadcast("bgtask_partial_success", (str(task), None, changed), str(task))
    return [success, partly]


@_words.register
def _(event: events.CloneAbandoned, cause: UUID | None) -> list[Word]:
    del cause
    told = event.detail if event.code else _CANCELLED
    failure = Anycast("vfolder_clone_failure", (str(event.source), str(event.destination), told))
    if event.code is None:
        return [failure, Broadcast("bgtask_cancelled", (str(event.task), None), str(event.task))]
    return [failure, _failed(event.task, event.detail)]


@_words.register
def _(event: events.CloneFailed, cause: UUID | None) -> list[Word]:
    failed = _failed(cause, event.detail)
    if event.source is None:
        return [failed]
    return [Anycast("vfolder_clone_failure", (str(event.source), event.subject, event.detail)), failed]


@_words.register
def _(event: events.FilesPurged, cause: UUID | None) -> list[Word]:
    del cause
    return [_done(event.trash)]


@_words.register
def _(event: events.FilesDeleteFailed, cause: UUID | None) -> list[Word]:
    return [_failed(cause, event.detail)]


@_words.register
def _(event: task_events.TaskProgressed, cause: UUID | None) -> list[Word]:
    del cause
    done, total = event.size_bytes, event.size_bytes_total
    if not total:
        done, total = event.items, event.items_total
    told = (str(event.task), float(done), float(total), f"{event.items} of {event.items_total} entries")
    return [Broadcast("bgtask_updated", told, str(event.task))]


def _done(task: UUID | None) -> Word:
    return Broadcast("bgtask_done", (str(task), None), str(task))


def _failed(task: UUID | None, detail: str) -> Word:
    return Broadcast("bgtask_failed", (str(task), detail), str(task))
