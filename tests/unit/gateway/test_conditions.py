"""Dates of files as validators (RFC 9110 section 8.8.2), and conditions that take several lines."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict, CIMultiDictProxy

from gateway.protocol.download import Representation, plan_download
from gateway.protocol.fields import field_value
from gateway.protocol.validators import EntityTag, http_date, parse_date

#: A second in which a file was changed.
SECOND = 1_700_000_000


def known(modified: int = SECOND) -> Representation:
    return Representation(EntityTag("t"), modified, 1000)


@pytest.mark.parametrize(
    ("now", "status"), [(SECOND, 200), (SECOND + 0.9, 200), (SECOND + 1, 206), (SECOND + 10**6, 206)]
)
def test_a_date_tells_which_bytes_only_when_its_second_is_over(now: float, status: int) -> None:
    asked = {"Range": "bytes=0-9", "If-Range": http_date(SECOND)}
    assert plan_download(known(), asked, "GET", now=now).status == status
    asked["If-Range"] = '"t"'
    assert plan_download(known(), asked, "GET", now=now).status == 206


def test_a_change_to_come_is_told_as_of_now() -> None:
    ahead = known(SECOND + 3600)
    for asked, status in (
        ({}, 200),
        ({"If-None-Match": '"t"'}, 304),
        ({"If-Modified-Since": http_date(SECOND)}, 200),
        ({"Range": "bytes=0-9", "If-Range": http_date(SECOND)}, 200),
        ({"Range": "bytes=0-9", "If-Range": http_date(SECOND + 3600)}, 200),
        ({"Range": "bytes=5000-"}, 416),
    ):
        plan = plan_download(ahead, asked, "GET", now=SECOND + 0.5)
        assert (plan.status, plan.headers["Last-Modified"]) == (status, http_date(SECOND))


@given(st.integers(-(1 << 62), 1 << 62), st.floats(0, 4e9))
def test_any_time_of_a_file_can_be_told(modified: int, now: float) -> None:
    told = plan_download(known(modified), {}, "GET", now=now).headers["Last-Modified"]
    assert 0 <= parse_date(told) <= now


def lines(*fields: tuple[str, str]) -> CIMultiDictProxy[str]:
    return CIMultiDictProxy(CIMultiDict(fields))


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ([("If-Match", '"a"'), ("if-match", '"t"')], 200),
        ([("If-Match", '"a"'), ("If-Match", '"b"')], 412),
        ([("If-None-Match", '"a", "b"'), ("If-None-Match", 'W/"t"')], 304),
        ([("If-None-Match", '"a"'), ("If-None-Match", '"b"')], 200),
        ([("If-Modified-Since", http_date(SECOND)), ("If-Modified-Since", http_date(SECOND))], 200),
        ([("Range", "bytes=0-1"), ("Range", "bytes=5-6")], 200),
        ([("Range", "bytes=0-1"), ("If-Range", '"t"'), ("If-Range", '"a"')], 200),
    ],
)
def test_lines_of_one_name_are_one_list(fields: list[tuple[str, str]], status: int) -> None:
    assert plan_download(known(), lines(*fields), "GET").status == status


def test_a_field_s_value() -> None:
    assert field_value(lines(("A", "1"), ("a", "2")), "a") == "1, 2"
    assert field_value(lines(("A", "1")), "B") is None
    assert field_value({"A": "1"}, "A") == "1"
    assert field_value({"A": "1"}, "B") is None


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("Sun, 06 Nov 1994 08:49:37 GMT", 784111777),
        ("Sunday, 06-Nov-94 08:49:37 GMT", 784111777),
        ("Sun Nov  6 08:49:37 1994", 784111777),
        ("Sun, 06 Nov 1994 08:49:37 GMT, Sun, 06 Nov 1994 08:49:37 GMT", None),
        ("Sun Nov  6 08:49:37 1994, Sun Nov  6 08:49:37 1994", None),
        ("Sun, 06 Nov 1994 08:49:37 +0100", None),
        ("Sun, 31 Feb 1994 08:49:37 GMT", None),
        ("Sun, 06 Nov 1994 25:49:37 GMT", None),
        ("784111777", None),
    ],
)
def test_dates_in_all_their_forms(text: str, time: int | None) -> None:
    assert parse_date(text) == time
