"""Any Range field gives the answer of a plain reading of RFC 9110."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.contract import EntryKind, FileStat
from gateway.protocol.download import plan_download
from gateway.protocol.ranges import ByteRange, UnsatisfiableError, parse_range
from gateway.protocol.validators import EntityTag, http_date, parse_date, parse_tags


def reference(value: str, data: bytes) -> bytes | None:
    """What is to be sent; None for the whole. Raises UnsatisfiableError."""
    match = re.fullmatch(r"(?i:bytes)=(?:([0-9]+)-([0-9]*)|-([0-9]+))", value)
    if match is None:
        return None
    first, last, suffix = match.groups()
    if suffix is not None:
        part = data[-int(suffix) :] if int(suffix) else b""
    else:
        if last and int(last) < int(first):
            return None
        part = data[int(first) : int(last) + 1 if last else None]
    if not part:
        raise UnsatisfiableError
    return part


numbers = st.integers(0, 40).map(str) | st.just("") | st.just("00000007")
ranges = st.builds("bytes={}-{}".format, numbers, numbers) | st.text("bytes=-0123456789, ", max_size=20)


@given(ranges, st.integers(0, 30))
def test_a_range_is_read_as_the_standard_says(value: str, size: int) -> None:
    data = bytes(range(size))
    try:
        expected = reference(value, data)
    except UnsatisfiableError:
        with pytest.raises(UnsatisfiableError):
            parse_range(value, size)
        return
    found = parse_range(value, size)
    assert (data[found.start : found.start + found.count] if found else None) == expected


@given(ranges, st.integers(0, 30), st.sampled_from(["GET", "HEAD"]))
def test_a_plan_is_consistent(value: str, size: int, method: str) -> None:
    known = FileStat(EntryKind.FILE, size, 0o100644, 10**18, 10**18, 7)
    plan = plan_download(known, {"Range": value}, method)
    assert plan.status in (200, 206, 416)
    if plan.status == 206:
        assert isinstance(plan.body, ByteRange)
        assert plan.content_length == plan.body.count <= size
        assert plan.headers["Content-Range"] == plan.body.content_range(size)
    if plan.status == 200:
        assert plan.content_length == size
        assert plan.body == (None if method == "HEAD" or not size else ByteRange(0, size))
    if plan.status == 416:
        assert plan.headers["Content-Range"] == f"bytes */{size}"


@given(st.lists(st.builds(EntityTag, st.text("abc!#", max_size=4), st.booleans()), max_size=4))
def test_entity_tags_are_read_as_they_are_written(tags: list[EntityTag]) -> None:
    assert parse_tags(", ".join(map(str, tags))) == tags
    assert parse_tags(" ,".join(map(str, tags))) == tags


@given(st.text(max_size=30))
def test_any_text_is_tags_or_none(value: str) -> None:
    tags = parse_tags(value)
    assert tags is None or all(isinstance(tag, EntityTag) for tag in tags)


@given(st.integers(0, 4_000_000_000))
def test_dates_are_read_as_they_are_written(time: int) -> None:
    assert parse_date(http_date(time)) == time


@given(st.text(max_size=40))
def test_any_text_is_a_date_or_none(value: str) -> None:
    assert parse_date(value) is None or isinstance(parse_date(value), int)
