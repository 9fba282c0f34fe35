"""Events in the wire form of Backend.AI.

`backendai_events.jsonl` was written by the classes of `backend.ai-common` 26.3.2; of anycast events `args` stands
in Base64.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from bus.backendai.translation import words
from bus.backendai.wire import anycast_fields, broadcast_text, cache_key, parse_broadcast
from bus.backendai.words import Anycast, Broadcast, Word
from domain import events, task_events
from domain.envelope import Origin, wrap_event
from domain.errors import ErrorCode, MalformedEventError, Retry
from domain.ids import VFolderId, VolumeName
from domain.messages import Event
from domain.tasks import TaskKind

GOLDEN = [*map(json.loads, Path(__file__).with_name("backendai_events.jsonl").read_text().splitlines())]
DISK = VolumeName("disk")
ONE = VFolderId.parse("user:11111111-1111-4111-8111-111111111111/aabb0001000040008000000000000001")
TWO = VFolderId.parse("project:22222222-2222-4222-8222-222222222222/aabb0002000040008000000000000002")
TASK = UUID("01a1fe7a-8586-7d3c-b0f9-c0e10ae25a4f")
REFUSED: dict[str, Any] = {"volume": DISK, "retry": Retry.NEVER, "detail": "no"}
CLONE: dict[str, Any] = {"volume": DISK, "source": ONE, "destination": TWO}
WORK: dict[str, Any] = {"volume": DISK, "task": TASK, "kind": TaskKind.SCRUB}
NO: dict[str, Any] = {"code": ErrorCode.STORAGE_FULL, "detail": "no"}

CASES: list[tuple[Event, list[str]]] = [
    (
        events.VFolderDeleted(volume=DISK, folder=ONE, trash=TASK),
        ["bgtask_updated", "vfolder_deletion_success", "bgtask_done"],
    ),
    (
        events.VFolderDeleteFailed(**REFUSED, subject=str(ONE), code=ErrorCode.CONFLICT),
        ["vfolder_deletion_failure", "bgtask_failed"],
    ),
    (
        events.VFolderDeleteFailed(**REFUSED, subject=str(ONE), code=ErrorCode.NOT_FOUND),
        ["vfolder_deletion_success", "bgtask_done"],
    ),
    (events.VFolderPurged(volume=DISK, folder=ONE, trash=TASK, entries=1), ["bgtask_done"]),
    (events.CloneAccepted(**CLONE, task=TASK), ["bgtask_updated"]),
    (events.CloneCompleted(**CLONE, task=TASK), ["vfolder_clone_success", "bgtask_done"]),
    (events.CloneCompleted(**CLONE), ["vfolder_clone_success", "bgtask_done"]),
    (events.CloneAbandoned(**CLONE, task=TASK, **NO), ["vfolder_clone_failure", "bgtask_failed"]),
    (
        events.CloneFailed(**REFUSED, subject=str(TWO), code=ErrorCode.CONFLICT, source=ONE),
        ["vfolder_clone_failure", "bgtask_failed"],
    ),
    (events.CloneFailed(**REFUSED, subject=str(TWO), code=ErrorCode.CONFLICT), ["bgtask_failed"]),
    (events.FileDeleted(volume=DISK, folder=ONE, paths=["a"], trash=TASK), ["bgtask_updated"]),
    (events.FileDeleted(volume=DISK, folder=ONE, paths=["a"]), []),
    (events.FilesPurged(volume=DISK, folder=ONE, trash=TASK, entries=1), ["bgtask_done"]),
    (events.FilesDeleteFailed(**REFUSED, subject=str(ONE), code=ErrorCode.CONFLICT), ["bgtask_failed"]),
    (
        task_events.TaskProgressed(
            volume=DISK, task=TASK, items=1, items_total=2, size_bytes=5, size_bytes_total=10
        ),
        ["bgtask_updated"],
    ),
    (
        task_events.TaskProgressed(
            volume=DISK, task=TASK, items=3, items_total=0, size_bytes=0, size_bytes_total=0
        ),
        ["bgtask_updated"],
    ),
    (events.MigrationAccepted(**CLONE, task=TASK), ["bgtask_updated"]),
    (events.VFolderMigrated(**CLONE, task=TASK), ["bgtask_done"]),
    (events.VFolderMigrated(**CLONE), []),
    (events.MigrationAbandoned(**CLONE, task=TASK, **NO), ["bgtask_failed"]),
    (events.MigrationAbandoned(**CLONE, task=TASK), ["bgtask_cancelled"]),
    (task_events.TaskAccepted(**WORK), ["bgtask_updated"]),
    (task_events.TaskCompleted(**WORK, items=1, size_bytes=1), ["bgtask_done"]),
    (task_events.TaskAbandoned(**WORK, **NO), ["bgtask_failed"]),
    (task_events.TaskAbandoned(**WORK), ["bgtask_cancelled"]),
    (events.VFolderCreated(volume=DISK, folder=ONE, mode=0o755), []),
]


#: What ends a task for a GraphQL subscription of a manager, which passes over what it does not know.
ENDS = {"bgtask_done", "bgtask_cancelled", "bgtask_failed"}


def said(event: Event, cause: UUID | None = TASK) -> list[Word]:
    envelope = wrap_event(event, id=TASK, time=1.0, origin=Origin(actor="disk", cause=cause))
    return words(envelope, event)


def written(word: Word) -> dict[str, Any]:
    """A word as it stands in the file."""
    if isinstance(word, Broadcast):
        return {"pattern": "broadcast", "fields": json.loads(broadcast_text(word, "penstock"))}
    found = {name.decode(): value for name, value in anycast_fields(word, "penstock").items()}
    texts = {name: value.decode() for name, value in found.items() if name != "args"}
    return {"pattern": "anycast", "fields": {**texts, "args": base64.b64encode(found["args"]).decode()}}


@pytest.mark.parametrize(("event", "names"), CASES, ids=lambda value: getattr(value, "type", None))
def test_every_event_has_its_bytes(event: Event, names: list[str]) -> None:
    found = said(event)
    assert [word.name for word in found] == names
    for word in found:
        assert {"name": word.name, **written(word)} in GOLDEN
        if isinstance(word, Broadcast):
            assert cache_key(word) == f"bgtask.{TASK}"


def test_how_a_cancelled_clone_is_told() -> None:
    failure, cancelled = said(events.CloneAbandoned(**CLONE, task=TASK))
    assert failure == Anycast("vfolder_clone_failure", (str(ONE), str(TWO), "cancelled"))
    assert {"name": "bgtask_cancelled", **written(cancelled)} in GOLDEN


def test_how_a_clone_of_a_restless_folder_is_told() -> None:
    success, partly, done = said(events.CloneCompleted(**CLONE, task=TASK, changed=["a"]))
    assert success.name == "vfolder_clone_success"
    assert partly.arguments[2] == ["a: changed while it was copied"]
    assert done.arguments == partly.arguments[:2], "who is shown one of them is shown the same"
    for word in (partly, done):
        assert {"name": word.name, **written(word)} in GOLDEN


@pytest.mark.parametrize("event", [event for event, _ in CASES] + [events.CloneCompleted(**CLONE, changed=["a"])])
def test_what_ends_is_kept_as_ended(event: Event) -> None:
    """A late listener is told the last word, and waits for no other if it is the last there is."""
    told = [word.name for word in said(event) if isinstance(word, Broadcast)]
    assert told[1:] == [] or told[-1] in ENDS
    assert None not in [word for each in said(event) for word in each.arguments], "it would be shown as a word"


def test_of_no_task_nothing_is_told() -> None:
    assert [word.name for word in said(events.CloneCompleted(**CLONE), cause=None)] == ["vfolder_clone_success"]
    failed = events.FilesDeleteFailed(**REFUSED, subject=str(ONE), code=ErrorCode.CONFLICT)
    assert said(failed, cause=None) == []


@pytest.mark.parametrize(
    "line", [line for line in GOLDEN if line["pattern"] == "broadcast"], ids=lambda line: str(line["name"])
)
def test_what_others_broadcast_is_read(line: dict[str, Any]) -> None:
    heard = parse_broadcast(json.dumps(line["fields"]).encode())
    assert heard.name == line["name"]
    if heard.name.startswith("do_volume"):
        assert heard.arguments[:3] == ("dir", "disk", "user:11111111-1111-4111-8111-111111111111")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"nonsense",
        b"[]",
        b"{}",
        b"[" * 100_000,
        b'{"name":"x","source":"y","args":"!"}',
        b'{"name":"x","args":"wQ=="}',
        b'{"name":"x","args":"AQ=="}',
    ],
)
def test_nonsense_is_no_event(data: bytes) -> None:
    with pytest.raises(MalformedEventError):
        parse_broadcast(data)
