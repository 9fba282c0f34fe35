"""Nothing that is other than with the reference escapes the comparison."""

from __future__ import annotations

import json
from typing import Any

import pytest
from harness.exchanges import Exchange
from harness.processes import Answer
from wire.comparing import ANYTHING, NOTHING, differences

GOOD = {"status": 200, "headers": {"Content-Type": "application/json", "X-A": "1"}, "json": {"a": [1, {"b": "x"}]}}
BAD = {"status": 400, "headers": {"Content-Type": "application/json"}, "json": {"msg": "no", "errno": 2}}


def compared(expected: dict[str, Any], body: Any, status: int = 0, **headers: str) -> dict[str, Any]:
    exchange = Exchange("001-x", "manager", "GET", "/x", expected)
    given = {**{name.lower(): value for name, value in expected["headers"].items()}, **headers}
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    found = differences(exchange, Answer(status or expected["status"], given, data), "/v")
    return {place: difference.here for place, difference in found.items()}


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ({"a": [1, {"b": "x"}]}, {}),
        ({"a": [1, {"b": "y"}]}, {".a[1].b": "y"}),
        ({"a": [True, {"b": "x"}]}, {".a[0]": True}),
        ({"a": [1.0, {"b": "x"}]}, {".a[0]": 1.0}),
        ({"a": [1]}, {".a": [1]}),
        ({"a": [1, {}]}, {".a[1].b": NOTHING}),
        ({"a": [1, {"b": "x", "c": None}]}, {".a[1].c": None}),
        ({"error_code": "x"}, {".error_code": "x", ".a": NOTHING}),
        (b"text", {"body": "text"}),
        (b"\xff", {"body": "a8100ae6aa1940d0b663bb31cd466142ebbdbd5187131b92d93818987832eb89"}),
    ],
)
def test_members_and_their_types(body: Any, found: dict[str, Any]) -> None:
    assert compared(GOOD, body) == found


def test_an_error_may_become_a_problem_document_and_nothing_more() -> None:
    document = {"msg": "no", "errno": 2, "type": "t", "title": "T"}
    assert compared(BAD, document) == {}
    assert compared(BAD, {**document, "error_code": "c"}) == {".error_code": "c"}
    assert compared(BAD, {**document, "errno": "2"}) == {".errno": "2"}
    assert compared(GOOD, {**GOOD["json"], "type": "t"}) == {".type": "t"}


def test_status_and_header_fields() -> None:
    assert compared(GOOD, GOOD["json"], 204) == {"status": 204}
    assert compared(GOOD, GOOD["json"], **{"x-a": "2"}) == {"header x-a": "2"}
    assert compared(GOOD, {"x": 1}, 404) == {"status": 404, "body": {"x": 1}}


def test_anything_is_not_nothing() -> None:
    assert {"a": ANYTHING} == {"a": 1}
    assert {"a": NOTHING} != {"a": ANYTHING}
