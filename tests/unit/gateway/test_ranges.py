"""Any Range field gives the answer of a plain reading of RFC 9110."""

from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.protocol.download import Representation, plan_download
from gateway.protocol.ranges import ByteRange, UnsatisfiableError, parse_ranges
from gateway.protocol.validators import EntityTag, http_date, parse_date, parse_tags

#: Ranges with so many bytes between them are cheaper to send as one.
NEAR = 80


def reference(value: str, size: int) -> set[int] | None:
    """Which bytes are to be sent; None for the whole. Raises UnsatisfiableError."""
    match = re.fullmatch(r"(?i:bytes)=(.*)", value)
    specs = [spec.strip() for spec in match[1].split(",") if spec.strip()] if match else []
    if not 1 <= len(specs) <= 16:
        return None
    wanted: set[int] = set()
    total = 0
    for spec in specs:
        found = re.fullmatch(r"([0-9]+)-([0-9]*)|-([0-9]+)", spec)
        if found is None:
            return None
        first, last, suffix = found.groups()
        if suffix is not None:
            part = range(max(size - int(suffix), 0), size)
        else:
            if last and int(last) < int(first):
                return None
            part = range(int(first), min(int(last) + 1, size) if last else size)
        wanted |= set(part)
        total += len(part)
    if not wanted:
        raise UnsatisfiableError
    return wanted if total <= size else None


numbers = st.integers(0, 400).map(str) | st.just("") | st.just("00000007")
specs = st.builds("{}-{}".format, numbers, numbers)
ranges = (
    st.lists(specs, min_size=1, max_size=5).map(lambda found: "bytes=" + ",".join(found))
    | st.lists(specs, min_size=15, max_size=20).map(lambda found: "bytes=" + ", ".join(found))
    | st.text("bytes=-0123456789, ", max_size=20)
)


@given(ranges, st.integers(0, 500))
def test_ranges_are_read_as_the_standard_says(value: str, size: int) -> None:
    try:
        expected = reference(value, size)
    except UnsatisfiableError:
        with pytest.raises(UnsatisfiableError):
            parse_ranges(value, size)
        return
    found = parse_ranges(value, size)
    if expected is None or found is None:
        assert found is expected
        return
    sent = {number for part in found for number in range(part.start, part.end)}
    assert sent >= expected
    assert sum(part.count for part in found) == len(sent), "no byte twice"
    edges = sorted(number for part in found for number in (part.start, part.end - 1))
    assert set(edges) <= expected, "what was not asked for lies between what was"
    gaps = [after - before - 1 for before, after in itertools.pairwise(sorted(expected))]
    assert len(sent - expected) == sum(gap for gap in gaps if gap <= NEAR)
    assert len(found) == 1 + sum(gap > NEAR for gap in gaps)


@given(ranges, st.integers(0, 500), st.sampled_from(["GET", "HEAD"]))
def test_a_plan_is_consistent(value: str, size: int, method: str) -> None:
    plan = plan_download(Representation(EntityTag("t"), 10**9, size), {"Range": value}, method)
    assert plan.status in (200, 206, 416)
    length = sum(len(item) if isinstance(item, bytes) else item.count for item in plan.body)
    if method == "GET":
        assert plan.content_length == length
    if plan.status == 206 and "Content-Range" in plan.headers:
        (part,) = plan.body
        assert isinstance(part, ByteRange)
        assert plan.headers["Content-Range"] == part.content_range(size)
    elif plan.status == 206:
        assert plan.headers["Content-Type"].startswith("multipart/byteranges; boundary=")
    if plan.status == 200:
        assert plan.content_length == size
        assert list(plan.body) == ([] if method == "HEAD" or not size else [ByteRange(0, size)])
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
