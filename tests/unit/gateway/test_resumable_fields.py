"""Structured fields as requests of resumable uploads write them."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.protocol.resumable_digests import byte_sequence
from gateway.protocol.resumable_fields import Other, read_dictionary, read_item

#: Values, and what they are.
ITEMS: list[tuple[str, Any]] = [
    *(("?1", True), ("?0", False), ("0", 0), ("-0", 0), ("42", 42), ("-42", -42), ("007", 7)),
    *((("9" * 15), 10**15 - 1), (" 1 ", 1), ("1;a", 1), ("1; a=2;b", 1), ('1;a="x;y"', 1), ("?1;x=1", True)),
    *(("1;a=?0;a=:YQ==:", 1), ("1;*k-_.*=tok/en:1", 1), ('1;d=%"%e2%82%ac"', 1), ("1;at=@-5", 1)),
    *((":YWJj:", b"abc"), (":YQ==:", b"a"), (":YQ:", b"a"), (":YR==:", b"a"), ("::", b"")),
    *(("1.5", Other("1.5")), ("-1.125", Other("-1.125")), ("@1700000000", Other("@1700000000"))),
    *(("token", Other("token")), ("YWJj:", Other("YWJj:")), ('"a\\"b"', Other('"a\\"b"'))),
    ('%"f%c3%bc"', Other('%"f%c3%bc"')),
]
NO_ITEMS = [
    *(
        "",
        " ",
        "?",
        "?2",
        "? 1",
        "?1?1",
        "?1,?1",
        "1 1",
        "1,1",
        "- 1",
        "--1",
        "1.",
        "1.1234",
        "9" * 16,
        "1" * 13 + ".0",
    ),
    *(":YWJj", ":Y:", ":YW=Jj:", ":Y$Jj:", ":YWJj::", '"a', 'a"', '"\\a"', '"é"', "é", "\t1", "1\t", "+1"),
    *(
        "1;",
        "1;A",
        "1;1",
        "1;a=",
        "1;a=(1)",
        "1 ;a",
        "1;a =1",
        "1;a= 1",
        "(1)",
        "@1.5",
        "@",
        '%"%FF"',
        '%"%c3"',
        '%"a',
    ),
]
DICTIONARIES: list[tuple[str, dict[str, Any]]] = [
    ("", {}),
    ("a", {"a": True}),
    ("a;x=1, b", {"a": True, "b": True}),
    ("a=?0", {"a": False}),
    ("a=1,b=2", {"a": 1, "b": 2}),
    ("a=1\t ,\t b=2", {"a": 1, "b": 2}),
    ("a=1, b=2, a=3", {"b": 2, "a": 3}),
    ("a=(1 2;x  tok);y=1, b=:YQ==:", {"a": Other("(1 2;x  tok)"), "b": b"a"}),
    ("a=(), *b=()", {"a": Other("()"), "*b": Other("()")}),
]
NO_DICTIONARIES = [
    *("a,", ",a", "a,,b", "a b", "a=", "A=1", "1=1", "=1", "a=1 b=2", "a=1;", "a=(1", "a=(1,2)", "a=((1))", "a= 1"),
    *("a =1", "a=:YQ", "a=1,\tB", "é=1", "a=(1)2", "a=(1\t2)"),
]


@pytest.mark.parametrize(("text", "value"), ITEMS)
def test_items(text: str, value: object) -> None:
    found = read_item(text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("text", NO_ITEMS)
def test_what_is_no_item(text: str) -> None:
    with pytest.raises(ValueError, match=r"structured field|Base64|utf-8"):
        read_item(text)


@pytest.mark.parametrize(("text", "members"), DICTIONARIES)
def test_dictionaries(text: str, members: dict[str, object]) -> None:
    assert list(read_dictionary(text).items()) == list(members.items())


@pytest.mark.parametrize("text", NO_DICTIONARIES)
def test_what_is_no_dictionary(text: str) -> None:
    with pytest.raises(ValueError, match=r"structured field|Base64"):
        read_dictionary(text)


@given(st.text(max_size=30))
def test_any_text_is_read_or_refused(text: str) -> None:
    for read in (read_item, read_dictionary):
        try:
            read(text)
        except ValueError as error:
            assert str(error)  # noqa: PT017  either way is right


@given(st.binary(max_size=80), st.integers(min_value=-(10**15) + 1, max_value=10**15 - 1))
def test_what_is_written_is_read(data: bytes, number: int) -> None:
    assert read_item(byte_sequence(data)) == data
    assert read_item(f":{base64.b64encode(data).decode().rstrip('=')}:") == data
    assert read_dictionary(f"a={number}, b={byte_sequence(data)}") == {"a": number, "b": data}
