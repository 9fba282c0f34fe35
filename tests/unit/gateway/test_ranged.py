"""What is said of one range is what is said of it when everything is planned anew."""

from __future__ import annotations

import time

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from backends.contract import EntryKind, FileStat
from gateway.download import ONE_GO_BYTES, Planned
from gateway.express.answer import head
from gateway.express.ranged import Ranged
from gateway.express.request import SimpleRequest

SAME = b"Server: test\r\n\r\n"
NS = 1_000_000_000


def known(size: int = 10**6, modified: int = 10**9 * NS, identity: int = 7) -> FileStat:
    return FileStat(EntryKind.FILE, size, 0o100644, modified, modified, identity)


def asked(value: str, **more: str) -> SimpleRequest:
    return SimpleRequest("GET", "/download?token=t", {"Range": value, "X-Request-ID": "r", **more})


def lines(data: bytes) -> list[bytes]:
    """Without the date, before which the two may have been written or not."""
    return sorted(line for line in data.split(b"\r\n") if not line.startswith(b"Date: "))


numbers = st.integers(0, 3000)
values = st.builds("bytes={}-{}".format, numbers, numbers | st.just("") | st.just("0" * 18)) | st.just("bytes=-5")


@given(values, st.integers(0, 2500), st.integers(0, 2 * 10**9 * NS), st.integers(0, 2**64))
def test_it_is_what_is_planned(value: str, size: int, modified: int, identity: int) -> None:
    request, file = asked(value), known(size, modified, identity)
    ranged, planned = Ranged.of(request), Planned({"Range": value}, "GET")
    assume(ranged is not None)
    part, expected = ranged.few(file), planned.few(file)
    assert part in (expected, None)
    if part is not None:
        plan = planned.plan
        status, fields = ranged.head(SAME)
        assert status == plan.status == 206
        assert lines(fields) == lines(head(plan.status, request, plan.headers, part[1], SAME))


@pytest.mark.parametrize(
    ("value", "part"),
    [("bytes=0-0", (0, 1)), ("bytes=5-9", (5, 5)), ("bytes=999999-2000000", (999999, 1)), ("bytes=0-5", (0, 6))],
)
def test_what_is_simple_is_planned_here(value: str, part: tuple[int, int]) -> None:
    ranged = Ranged.of(asked(value))
    assert ranged is not None
    assert ranged.few(known()) == part


@pytest.mark.parametrize("value", ["bytes=1000000-1000001", "bytes=9-5", f"bytes=0-{ONE_GO_BYTES}"])
def test_what_is_not_there_or_much_is_left_to_others(value: str) -> None:
    ranged = Ranged.of(asked(value))
    assert ranged is not None
    assert ranged.few(known()) is None


@pytest.mark.parametrize(
    "request_",
    [
        SimpleRequest("GET", "/download", {}),
        asked("bytes=0-"),
        asked("bytes=-1"),
        asked("bytes=0-1,5-6"),
        asked("Bytes=0-1"),
        asked("bytes=0-1", **{"If-Range": '"x"'}),
        asked("bytes=0-1", **{"If-None-Match": "*"}),
    ],
)
def test_other_requests_are_left_to_others(request_: SimpleRequest) -> None:
    assert Ranged.of(request_) is None


def test_what_is_said_of_a_change_to_come_depends_on_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its Last-Modified is the time of the answer (RFC 9110 section 8.8.2.1), each time another one."""
    file = known(modified=1_000_000_123 * NS)
    for now, is_planned in ((1_000_000_122.9, False), (1_000_000_123.0, True), (1_000_000_122.9, False)):
        monkeypatch.setattr(time, "time", lambda now=now: now)
        ranged = Ranged.of(asked("bytes=0-1"))
        assert ranged is not None
        assert (ranged.few(file) is not None) == is_planned


def test_another_file_of_the_name_is_another_tag() -> None:
    tags = set()
    for file in (known(), known(size=10**6 + 1), known(modified=5), known(identity=8)):
        ranged = Ranged.of(asked("bytes=0-1"))
        assert ranged is not None
        ranged.few(file)
        tags.add(next(line for line in lines(ranged.head(SAME)[1]) if line.startswith(b"ETag: ")))
    assert len(tags) == 4
