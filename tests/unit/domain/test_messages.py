"""Messages, envelopes and the catalogue they are projected into."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import errors
from domain.catalogue import (
    FolderRecord,
    Index,
    Put,
    Remove,
    Unindex,
    folder_member,
    parse_folder_member,
)
from domain.commands import CreateVFolder, SetQuota
from domain.envelope import Envelope, Origin, Trace, wrap_command, wrap_event
from domain.errors import ErrorCode, MalformedEventError, PenstockError, Retry, UnsupportedError
from domain.events import FileUploaded, VFolderCreated, VFolderDeleted
from domain.ids import QuotaScopeId, ScopeKind, VFolderId, VolumeName, derived_id, uuid7
from domain.messages import Message
from domain.permissions import Permission
from domain.projection import project
from domain.registry import COMMANDS, EVENTS, open_command, open_event

DISK = VolumeName("disk")
SCOPE = QuotaScopeId(ScopeKind.PROJECT, UUID(int=5))
FOLDER = VFolderId(SCOPE, UUID(int=6))
ID = uuid7(1_700_000_000_000, b"0123456789")


def command(**changes: object) -> Envelope:
    made = wrap_command(CreateVFolder(folder=FOLDER, mode=0o700), id=ID, volume=DISK, time=10.0)
    return replace(made, **changes)


def test_every_message_has_a_name_a_version_and_words() -> None:
    for known in (COMMANDS, EVENTS):
        for name, model in known.items():
            assert name == model.type
            assert model.schema_version >= 1
            assert model.publisher
            assert model.consumer
            assert (model.__doc__ or "").strip()
            for field in model.model_fields:
                if field != "volume":
                    assert model.model_fields[field].description, (name, field)


def test_commands_and_events_do_not_share_names() -> None:
    assert not set(COMMANDS) & set(EVENTS)
    for name in COMMANDS:
        assert f"{name}.failed" in EVENTS or name == "clone.requested"


def test_a_command_is_read_as_it_was_wrapped() -> None:
    assert open_command(command()) == CreateVFolder(folder=FOLDER, mode=0o700)
    assert command().key == str(FOLDER)


def test_fields_of_later_releases_are_passed_over() -> None:
    made = command()
    assert open_command(replace(made, body={**made.body, "later": 1})) == open_command(made)


def test_unknown_types_and_newer_versions_are_told_apart_from_nonsense() -> None:
    for unknown in (command(type="vfolder.teleport"), command(schema_version=99), command(type="vfolder.created")):
        with pytest.raises(UnsupportedError):
            open_command(unknown)
    for nonsense in ({}, {"folder": 1}, {"folder": "x"}, {"folder": str(FOLDER), "mode": "x"}):
        with pytest.raises(MalformedEventError) as caught:
            open_command(command(body=nonsense))
        assert "vfolder.create" in caught.value.message


def test_an_event_follows_from_its_command() -> None:
    trace = Trace("00-a-b-01", "x=1")
    made = command(origin=Origin(actor="manager", tenant="t", trace=trace))
    event = made.caused(VFolderCreated(volume=DISK, folder=FOLDER, mode=0o700), 3, 11.0)
    assert event.id == derived_id(ID, 3)
    assert event.origin == Origin("manager", "t", cause=ID, correlation=ID, trace=trace)
    assert (event.key, event.time, event.reply_to) == (made.key, 11.0, "")
    assert isinstance(open_event(event), VFolderCreated)


def test_what_is_tried_again_ends_with_another_event() -> None:
    event = VFolderCreated(volume=DISK, folder=FOLDER, mode=0o700)
    ids = {command(attempt=tries).caused(event, number, 11.0).id for tries in (0, 8, 16) for number in (0, 1)}
    assert len(ids) == 6


def test_permissions_cover_each_other() -> None:
    order = [Permission.READ_ONLY, Permission.READ_WRITE, Permission.READ_WRITE_DELETE]
    for number, mode in enumerate(order):
        assert [mode.covers(needed) for needed in order] == [other <= number for other in range(3)]


# --- errors -----------------------------------------------------------------------------------------


def _all_errors() -> list[type[PenstockError]]:
    found = [
        value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, PenstockError)
    ]
    return sorted(found, key=lambda kind: kind.__name__)


@pytest.mark.parametrize("kind", _all_errors())
def test_every_error_has_a_code_a_retry_class_and_a_line_in_the_tree(kind: type[PenstockError]) -> None:
    assert kind.code in ErrorCode
    assert kind.retry in Retry
    assert kind.__name__ in (errors.__doc__ or "")
    assert (kind.__doc__ or "").strip()


def test_every_code_belongs_to_an_error() -> None:
    assert {kind.code for kind in _all_errors()} == set(ErrorCode)


# --- catalogue --------------------------------------------------------------------------------------


def projected(event: Message) -> tuple[object, ...]:
    return project(wrap_event(event, id=UUID(int=1), time=12.5))


def test_a_new_folder_appears_empty_in_every_index() -> None:
    changes = projected(VFolderCreated(volume=DISK, folder=FOLDER, mode=0o700))
    member = f"{FOLDER}@disk"
    assert set(changes[1:4]) == {
        Index("index:folders", member),
        Index("index:volume:disk", member),
        Index(f"index:owner:{SCOPE}", member),
    }
    assert changes[0] == Put(f"vfolder:{FOLDER}:info@disk", {"created": 12.5, "mode": 0o700})
    assert changes[4] == Remove(f"vfolder:{FOLDER}:status@disk")
    assert changes[5] == Put(f"vfolder:{FOLDER}:usage@disk", {"file_bytes": 0, "files": 0, "measured": 12.5})


def test_a_deleted_folder_leaves_nothing_behind() -> None:
    made = projected(VFolderCreated(volume=DISK, folder=FOLDER, mode=0o700))
    gone = projected(VFolderDeleted(volume=DISK, folder=FOLDER, trash=ID))
    assert {change.record for change in made if isinstance(change, Put)} == {
        change.record for change in gone if isinstance(change, Remove)
    }
    assert {(c.index, c.member) for c in made if isinstance(c, Index)} == {
        (c.index, c.member) for c in gone if isinstance(c, Unindex)
    }


@given(st.sampled_from(sorted(EVENTS)))
def test_every_event_can_be_projected(name: str) -> None:
    model = EVENTS[name]
    samples = {
        "volume": "disk",
        "scope": str(SCOPE),
        "folder": str(FOLDER),
        "source": str(FOLDER) if name.startswith(("clone", "vfolder")) else "a",
        "destination": str(FOLDER) if name.startswith(("clone", "vfolder")) else "b",
        "mode": 0o755,
        "trash": str(ID),
        "entries": 1,
        "subject": "x",
        "code": "conflict",
        "retry": "never",
        "detail": "x",
        "path": "a",
        "paths": ["a"],
        "size_bytes": 1,
        "session": "0" * 32,
        "owner": "actor",
        "files": 1,
        "kept_sha256": "0" * 64,
        "found_sha256": "1" * 64,
        "epoch": 1,
        "task": str(ID),
        "items": 1,
        "items_total": 2,
        "size_bytes_total": 2,
        "kind": "usage.scan",
        "percent": 80,
        "before": 0,
        "used_bytes": 1,
        "destination_volume": "other",
        "file_bytes": 1,
        "logical_bytes": 1,
        "allocated_bytes": 1,
    }
    event = model.model_validate({key: value for key, value in samples.items() if key in model.model_fields})
    assert all(change is not None for change in projected(event))


def test_records_are_read_as_they_are_written() -> None:
    member = folder_member(FOLDER, DISK)
    assert parse_folder_member(member) == (FOLDER, DISK)
    fields = {"created": "12.5", "mode": "448"}
    record = FolderRecord.parse(member, fields)
    assert (record.folder, record.volume, record.mode, record.created) == (FOLDER, DISK, 0o700, 12.5)


def test_bodies_have_a_wire_form_without_what_is_absent() -> None:
    assert SetQuota(scope=SCOPE, limit_bytes=0).body() == {"scope": str(SCOPE), "limit_bytes": 0}
    event = FileUploaded(volume=DISK, folder=FOLDER, path="a", size_bytes=1, session="0" * 32)
    assert "replaced_bytes" not in event.body()
