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

from bus.backendai.wire import anycast_fields, broadcast_text, cache_key, parse_broadcast
from bus.backendai.words import Anycast, Broadcast, Word, words
from domain import events, task_events
from domain.envelope import Origin, wrap_event
from domain.errors import ErrorCode, MalformedEventError, Retry
from domain.ids import VFolderId, VolumeName
from domain.messages import Event

GOLDEN = {
    line["name"]: line
    for line in map(json.loads, Path(__file__).with_name("backendai_events.jsonl").read_text().splitlines())
}
DISK = VolumeName("disk")
ONE = VFolderId.parse("user:11111111-1111-4111-8111-111111111111/aabb0001000040008000000000000001")
TWO = VFolderId.parse("project:22222222-2222-4222-8222-222222222222/aabb0002000040008000000000000002")
TASK = UUID("01a1fe7a-8586-7d3c-b0f9-c0e10ae25a4f")
REFUSED: dict[str, Any] = {"volume": DISK, "retry": Retry.NEVER, "detail": "no"}
CLONE: dict[str, Any] = {"volume": DISK, "source": ONE, "destination": TWO}

CASES: list[tuple[Event, list[str]]] = [
    (events.VFolderDeleted(volume=DISK, folder=ONE, trash=TASK), ["vfolder_deletion_success", "bgtask_done"]),
    (
        events.VFolderDeleteFailed(**REFUSED, subject=str(ONE), code=ErrorCode.CONFLICT),
        ["vfolder_deletion_failure", "bgtask_failed"],
    ),
    (
        events.VFolderDeleteFailed(**REFUSED, subject=str(ONE), code=ErrorCode.NOT_FOUND),
        ["vfolder_deletion_success", "bgtask_done"],
    ),
    (events.CloneCompleted(**CLONE, task=TASK), ["vfolder_clone_success", "bgtask_done"]),
    (events.CloneCompleted(**CLONE), ["vfolder_clone_success", "bgtask_done"]),
    (
        events.CloneAbandoned(**CLONE, task=TASK, code=ErrorCode.STORAGE_FULL, detail="no"),
        ["vfolder_clone_failure", "bgtask_failed"],
    ),
    (
        events.CloneFailed(**REFUSED, subject=str(TWO), code=ErrorCode.CONFLICT, source=ONE),
        ["vfolder_clone_failure", "bgtask_failed"],
    ),
    (events.CloneFailed(**REFUSED, subject=str(TWO), code=ErrorCode.CONFLICT), ["bgtask_failed"]),
    (events.FilesPurged(volume=DISK, folder=ONE, trash=TASK, entries=1), ["bgtask_done"]),
    (events.FilesDeleteFailed(**REFUSED, subject=str(ONE), code=ErrorCode.CONFLICT), ["bgtask_failed"]),
    (
        task_events.TaskProgressed(
            volume=DISK, task=TASK, items=1, items_total=2, size_bytes=5, size_bytes_total=10
        ),
        ["bgtask_updated"],
    ),
    (events.VFolderCreated(volume=DISK, folder=ONE, mode=0o755), []),
    (events.VFolderPurged(volume=DISK, folder=ONE, trash=TASK, entries=1), []),
]


def said(event: Event) -> list[Word]:
    envelope = wrap_event(event, id=TASK, time=1.0, origin=Origin(actor="disk", cause=TASK))
    return words(envelope, event)


def check(word: Word) -> None:
    golden = GOLDEN[word.name]
    if isinstance(word, Anycast):
        fields = {name.decode(): value for name, value in anycast_fields(word, "penstock").items()}
        found = {**{name: value.decode() for name, value in fields.items() if name != "args"}}
        found["args"] = base64.b64encode(fields["args"]).decode()
        assert golden["pattern"] == "anycast"
        assert found == golden["fields"]
    else:
        assert golden["pattern"] == "broadcast"
        assert json.loads(broadcast_text(word, "penstock")) == golden["fields"]


@pytest.mark.parametrize(("event", "names"), CASES, ids=lambda value: getattr(value, "type", None))
def test_every_event_has_its_bytes(event: Event, names: list[str]) -> None:
    found = said(event)
    assert [word.name for word in found] == names
    for word in found:
        check(word)
        if isinstance(word, Broadcast):
            assert cache_key(word) == f"bgtask.{TASK}"


def test_how_a_cancelled_clone_is_told() -> None:
    failure, cancelled = said(events.CloneAbandoned(**CLONE, task=TASK))
    assert failure == Anycast("vfolder_clone_failure", (str(ONE), str(TWO), "cancelled"))
    check(cancelled)


def test_how_a_clone_of_a_restless_folder_is_told() -> None:
    _, partly = said(events.CloneCompleted(**CLONE, task=TASK, changed=["a"]))
    assert partly.arguments == (str(TASK), None, ["a: changed while it was copied"])
    check(Broadcast(partly.name, (str(TASK), None, ["a: changed"])))


@pytest.mark.parametrize("name", [name for name, line in GOLDEN.items() if line["pattern"] == "broadcast"])
def test_what_others_broadcast_is_read(name: str) -> None:
    heard = parse_broadcast(json.dumps(GOLDEN[name]["fields"]).encode())
    assert heard.name == name
    if name.startswith("do_volume"):
        assert heard.arguments[:3] == ("dir", "disk", "user:11111111-1111-4111-8111-111111111111")


@pytest.mark.parametrize(
    "data", [b"", b"nonsense", b"[]", b"{}", b'{"name":"x","source":"y","args":"!"}', b'{"name":"x","args":"wQ=="}']
)
def test_nonsense_is_no_event(data: bytes) -> None:
    with pytest.raises(MalformedEventError):
        parse_broadcast(data)
