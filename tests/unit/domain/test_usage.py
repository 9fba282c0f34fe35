"""What events make of a folder's usage record, and what that tells."""

from __future__ import annotations

from uuid import UUID

import pytest

from domain.catalogue import (
    Bump,
    Change,
    Need,
    Put,
    Recount,
    UsageMarks,
    UsageRecord,
    counted_usage,
    measured_usage,
    usage_record,
)
from domain.envelope import wrap_event
from domain.events import ArchiveUnpacked, FileDeleted, FileMoved, FileUploaded, UsageMeasured
from domain.ids import QuotaScopeId, ScopeKind, VFolderId, VolumeName
from domain.messages import Event
from domain.projection import project
from domain.usage import Usage

DISK = VolumeName("disk")
FOLDER = VFolderId(QuotaScopeId(ScopeKind.PROJECT, UUID(int=5)), UUID(int=6))
ABOUT = {"volume": DISK, "folder": FOLDER}
RECORD = usage_record(FOLDER, DISK)


def projected(event: Event) -> tuple[Change, ...]:
    return project(wrap_event(event, id=UUID(int=1), time=12.5))


@pytest.mark.parametrize(
    ("replaced", "deltas"),
    [
        (None, {"file_bytes": 10, "files": 1, "added_bytes": 10, "added_files": 1}),
        (4, {"file_bytes": 6, "files": 0, "added_bytes": 6, "added_files": 0}),
        (40, {"file_bytes": -30, "files": 0, "changes": 1}),
    ],
)
def test_usage_follows_uploads(replaced: int | None, deltas: dict[str, int]) -> None:
    event = FileUploaded(**ABOUT, path="a", size_bytes=10, replaced_bytes=replaced, session="0" * 32)
    assert projected(event) == (Bump(RECORD, deltas),)


def test_what_a_dead_gateway_had_replaced_is_not_believed() -> None:
    event = FileUploaded(**ABOUT, path="a", size_bytes=10, replaced_bytes=4, session="0" * 32, recovered=True)
    assert projected(event) == (Bump(RECORD, {"file_bytes": 10, "files": 1, "changes": 1, "stale": 1}),)


def test_what_cannot_be_known_without_counting_is_to_be_counted() -> None:
    less = Bump(RECORD, {"file_bytes": 0, "files": 0, "changes": 1, "stale": 1})
    assert projected(FileDeleted(**ABOUT, paths=["a"])) == (less,)
    assert projected(FileMoved(**ABOUT, source="a", destination="b", replaced=True)) == (less,)
    assert projected(FileMoved(**ABOUT, source="a", destination="b")) == (Bump(RECORD, {"changes": 1}),)
    unpacked = ArchiveUnpacked(**ABOUT, path="a", files=3, size_bytes=50, session="0" * 32)
    more = Bump(RECORD, {"file_bytes": 50, "files": 3, "changes": 1, "stale": 1})
    assert projected(unpacked) == (more,)


@pytest.mark.parametrize("changes", [None, 2])
def test_a_count_is_recorded_with_what_came_in_meanwhile(changes: int | None) -> None:
    event = UsageMeasured(
        **ABOUT,
        entries=3,
        files=2,
        file_bytes=7,
        logical_bytes=4103,
        allocated_bytes=8192,
        changes=changes,
        added_bytes=5,
        added_files=1,
        made="x",
    )
    counted = measured_usage(Usage(3, 2, 4103, 7, 8192), 12.5)
    # A release before this one says nothing of how the folder was when the count began.
    former, present = Put(RECORD, counted), Recount(RECORD, counted, UsageMarks(5, 1, 2, "x"), 12.5)
    assert projected(event) == ((former if changes is None else present),)


def test_a_count_is_read_as_it_is_written() -> None:
    counted = measured_usage(Usage(3, 2, 4103, 7, 8192), 3.5)
    known = {key: str(value) for key, value in counted.items()}
    assert UsageRecord.parse(known) == UsageRecord(7, 2, 3.5)
    assert counted_usage(known) == Usage(3, 2, 4103, 7, 8192)
    assert counted_usage({"file_bytes": "0", "files": "0", "measured": "3.5"}) is None


def test_a_record_nobody_has_counted_tells_no_usage() -> None:
    assert UsageRecord.parse({"changes": "2", "file_bytes": "5", "files": "1"}) is None


@pytest.mark.parametrize(
    ("fields", "served"),
    [
        ({}, set(Need)),
        ({"again": "110.5"}, set(Need)),
        ({"again": "109.5"}, {Need.BOUND}),
        ({"again": "110.5", "stale": "1"}, {Need.BOUND}),
        ({"stale": "2"}, {Need.BOUND}),
        ({"measured": "104"}, set()),
    ],
)
def test_a_count_serves_until_it_is_old_or_something_was_removed(fields: dict[str, str], served: set[Need]) -> None:
    record = UsageRecord.parse({"file_bytes": "5", "files": "1", "measured": "106", **fields})
    assert record is not None
    assert {need for need in Need if record.serves(need, 110, 5)} == served
