"""Patterns of paths match what a plain reading of them says."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.protocol.patterns import Patterns, is_pattern

ONE = {"*": "[^/]*", "?": "[^/]", "[ab]": "[ab]", "[!a]": "[^a/]"}


def reference(pattern: list[str]) -> re.Pattern[str]:
    """The same as one expression over whole paths."""
    parts = []
    for number, part in enumerate(pattern):
        is_last = number == len(pattern) - 1
        if part == "**":
            parts.append("[^/]+(?:/[^/]+)*" if is_last else "(?:[^/]+/)*")
            continue
        signs = re.findall(r"\[!?[ab]+\]|.", part)
        parts.append("".join(ONE.get(sign, re.escape(sign)) for sign in signs) + ("" if is_last else "/"))
    return re.compile("".join(parts))


def takes(patterns: Patterns, path: list[str]) -> set[int]:
    """Which patterns a file is found by, looking at one directory after the other."""
    state = patterns.start
    for name in path[:-1]:
        state = patterns.below(state, name)
    names = patterns.names(state)
    taken = patterns.take(state, path[-1])
    assert names is None or not taken or path[-1] in names, "who looks at these names only misses nothing"
    return taken


parts = st.sampled_from(["a", "b", "*", "?", "**", "[ab]", "[!a]", "a*", "*b", "a?", ".*", "a.b"])
paths = st.lists(st.sampled_from(["a", "b", "ab", "aab", ".a", "a.b", "A", "c"]), min_size=1, max_size=5)


@given(st.lists(st.lists(parts, min_size=1, max_size=5), min_size=1, max_size=4), paths)
def test_what_a_pattern_matches(given_: list[list[str]], path: list[str]) -> None:
    patterns = Patterns(["/".join(pattern) for pattern in given_])
    expected = {number for number, one in enumerate(given_) if reference(one).fullmatch("/".join(path))}
    assert takes(patterns, path) == expected


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("**/*.csv", "a.csv", True),
        ("**/*.csv", "x/y/z/a.csv", True),
        ("**/*.csv", "a.csv.gz", False),
        ("**/*.csv", ".hidden/.a.csv", True),
        ("*.csv", "x/a.csv", False),
        ("x/*.csv", "x/a.csv", True),
        ("x/**", "x/y/z", True),
        ("x/**", "x", False),
        ("x/**/z", "x/z", True),
        ("**", "x", True),
        ("[0-9][0-9].log", "07.log", True),
        ("[!0-9].log", "7.log", False),
        ("a\nb?", "a\nbc", True),
        ("A*", "ab", False),
        ("x**y", "xaby", True),
        ("*" * 20 + "b", "a" * 200, False),
        ("*a" * 100, "a" * 255, True),
        ("*a" * 100 + "b", "a" * 255, False),
    ],
)
def test_patterns_as_people_write_them(pattern: str, path: str, matches: bool) -> None:
    assert bool(takes(Patterns([pattern]), path.split("/"))) is matches


@pytest.mark.parametrize(("text", "is_one"), [("a*", True), ("a?/b", True), ("[a", True), ("a{b}~!", False)])
def test_which_names_have_signs(text: str, is_one: bool) -> None:
    assert is_pattern(text) is is_one


def test_directories_that_lead_nowhere_are_not_entered() -> None:
    patterns = Patterns(["data/*/x.csv"])
    assert not patterns.below(patterns.start, "other")
    inside = patterns.below(patterns.start, "data")
    assert patterns.names(patterns.start) == {"data"}
    assert patterns.names(inside) is None
    assert patterns.names(patterns.below(inside, "any")) == {"x.csv"}
    assert not patterns.below(patterns.below(inside, "any"), "x.csv")
