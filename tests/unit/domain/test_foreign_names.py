"""Names that are no UTF-8, told and given back."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import InvalidPathError
from domain.foreign_names import path_of, read_path, renamed, sendable
from domain.paths import ROOT, RelativePath

#: Bytes of names, many of them no UTF-8, and some of characters that stand for a byte.
NAMES = st.lists(
    st.sampled_from([b"a", b"\x80", b"\xff", b"\xf4\x8f\xbe\x80", b"\xf4", b"\x8f", b"\xc3\xa9", b"\xed\xb2\x80"]),
    min_size=1,
    max_size=8,
).map(b"".join)
ODD = "\U0010ffe9"


@given(NAMES, NAMES)
def test_every_name_is_told_as_text_of_its_own_and_given_back(one: bytes, other: bytes) -> None:
    told = sendable(os.fsdecode(one))
    told.encode()
    assert (sendable(os.fsdecode(other)) == told) is (one == other)
    path = read_path(told)
    assert os.fsencode(path.name) == one
    assert str(path) == told


@given(st.text().filter(lambda text: not any("\ud800" <= c <= "\udfff" or c >= "\U0010ff80" for c in text)))
def test_other_names_are_told_as_they_are(name: str) -> None:
    assert sendable(name) == name


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (f"a//./{ODD}/", ("a", "\udce9")),
        (f"a/{ODD}/../b", ("a", "b")),
        (f"{ODD}/..", ()),
        ("\U0010ffc3\U0010ffa9", ("é",)),
        ("é/b", ("é", "b")),
    ],
)
def test_paths_are_normalised_as_others_are(text: str, parts: tuple[str, ...]) -> None:
    assert read_path(text).parts == parts


@pytest.mark.parametrize(
    "text",
    [f"/{ODD}", f"../{ODD}", f"{ODD}/../..", f"\ud800{ODD}", "\udce9", f"{ODD}\0", ODD * 256, f"{ODD}/" * 2000],
)
def test_they_obey_the_rules_of_paths(text: str) -> None:
    with pytest.raises(InvalidPathError):
        read_path(text)


def test_each_stands_for_one_byte() -> None:
    assert len(os.fsencode(read_path(ODD * 255).name)) == 255


@pytest.mark.parametrize(("above", "below"), [(ODD, "b"), ("a", ODD), (ODD, f"b/{ODD}"), (".", ODD), (ODD, ".")])
def test_what_lies_below(above: str, below: str) -> None:
    path = read_path(above) / read_path(below)
    assert path == read_path(f"{above}/{below}")
    assert path.parts == (*read_path(above).parts, *read_path(below).parts)


def test_what_lies_below_is_no_longer_than_any_path() -> None:
    half = read_path("/".join([ODD * 200] * 10))
    with pytest.raises(InvalidPathError):
        half / half
    with pytest.raises(InvalidPathError):
        RelativePath.parse("/".join(["a" * 200] * 10)) / half


def test_what_lies_above_and_beside() -> None:
    path = read_path(f"{ODD}/b")
    assert str(path.parent) == ODD
    assert str(renamed(path, f"c{ODD}")) == f"{ODD}/c{ODD}"
    assert renamed(RelativePath(("a",)), "b") == RelativePath(("b",))
    assert path_of(()) == ROOT
    for wrong in (f"a/{ODD}", "..", "", f"{ODD}/"):
        with pytest.raises(InvalidPathError):
            renamed(path, wrong)
    with pytest.raises(InvalidPathError):
        renamed(ROOT, ODD)
