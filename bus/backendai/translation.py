"""Penstock's events in Backend.AI's words. Pure."""

from __future__ import annotations

from functools import singledispatch
from typing import Final
from uuid import UUID

from bus.backendai import bgtasks
from bus.backendai.words import Anycast, Word
from domain import events, task_events
from domain.envelope import Envelope
from domain.errors import ErrorCode
from domain.messages import Event

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
    success = Anycast("vfolder_deletion_success", (str(event.folder),))
    # Accepted and, to the manager, done in one.
    return [*bgtasks.started(event.trash), success, *bgtasks.done(event.trash)]


@_words.register
def _(event: events.VFolderDeleteFailed, cause: UUID | None) -> list[Word]:
    if event.code is ErrorCode.NOT_FOUND:
        # Deleting what is not there is a success to the manager, which wants it gone.
        return [Anycast("vfolder_deletion_success", (event.subject,)), *bgtasks.done(cause)]
    failure = Anycast("vfolder_deletion_failure", (event.subject, event.detail))
    return [failure, *bgtasks.failed(cause, event.detail)]


@_words.register
def _(event: events.VFolderPurged | events.FilesPurged, cause: UUID | None) -> list[Word]:
    del cause
    # Of a folder it was said when it was deleted; but how far the purging is was told since, and whoever has asked
    # after that still waits.
    return bgtasks.done(event.trash)


@_words.register
def _(event: events.FileDeleted, cause: UUID | None) -> list[Word]:
    del cause
    return bgtasks.started(event.trash)


@_words.register
def _(event: events.FilesDeleteFailed, cause: UUID | None) -> list[Word]:
    return bgtasks.failed(cause, event.detail)


@_words.register
def _(
    event: events.CloneAccepted | events.MigrationAccepted | task_events.TaskAccepted, cause: UUID | None
) -> list[Word]:
    del cause
    return bgtasks.started(event.task)


@_words.register
def _(event: task_events.TaskProgressed, cause: UUID | None) -> list[Word]:
    del cause
    if not event.items:
        return []  # that it has begun was told
    done, total = event.size_bytes, event.size_bytes_total
    if not total:
        done, total = event.items, event.items_total
    told = f"{event.items} of {event.items_total} entries" if event.items_total else f"{event.items} entries"
    return bgtasks.updated(event.task, float(done), float(total), told)


@_words.register
def _(event: events.CloneCompleted, cause: UUID | None) -> list[Word]:
    success = Anycast("vfolder_clone_success", (str(event.source), str(event.destination)))
    task = event.task or cause
    if not event.changed:
        return [success, *bgtasks.done(task)]
    return [success, *bgtasks.partly_done(task, [f"{path}: changed while it was copied" for path in event.changed])]


@_words.register
def _(event: events.CloneAbandoned, cause: UUID | None) -> list[Word]:
    del cause
    told = event.detail if event.code else _CANCELLED
    return [Anycast("vfolder_clone_failure", (str(event.source), str(event.destination), told)), *_given_up(event)]


@_words.register
def _(event: events.CloneFailed, cause: UUID | None) -> list[Word]:
    failed = bgtasks.failed(cause, event.detail)
    if event.source is None:
        return failed
    return [Anycast("vfolder_clone_failure", (str(event.source), event.subject, event.detail)), *failed]


# Of migrations and other tasks the manager knows nothing; but how far they are is told to all who listen, so their
# ends are as well.


@_words.register
def _(event: events.VFolderMigrated | task_events.TaskCompleted, cause: UUID | None) -> list[Word]:
    del cause
    return bgtasks.done(event.task)


@_words.register
def _(event: events.MigrationAbandoned | task_events.TaskAbandoned, cause: UUID | None) -> list[Word]:
    del cause
    return _given_up(event)


def _given_up(
    event: events.CloneAbandoned | events.MigrationAbandoned | task_events.TaskAbandoned,
) -> list[Word]:
    return bgtasks.failed(event.task, event.detail) if event.code else bgtasks.cancelled(event.task)
