"""Paths stay inside, read what they write, and fit on a file system."""

import posixpath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import InvalidPathError
from domain.paths import NAME_MAX_BYTES, PATH_MAX_BYTES, ROOT, RelativePath

names = st.sampled_from(["a", "b", "..", ".", "", "한글", "x y", ".upload", "c" * 255])
texts = st.lists(names, max_size=12).map("/".join)


@given(texts)
def test_a_path_is_normalised_as_posix_does_or_refused_for_leading_out(text: str) -> None:
    expected = posixpath.normpath(text) if text else "."
    if text.startswith("/") or expected.startswith(".."):
        with pytest.raises(InvalidPathError):
            RelativePath.parse(text)
        return
    inside = depth = 0
    for name in text.split("/"):
        depth += {"": 0, ".": 0, "..": -1}.get(name, 1)
        inside = min(inside, depth)
    if inside < 0:
        with pytest.raises(InvalidPathError):
            RelativePath.parse(text)
    elif len(expected.encode()) < PATH_MAX_BYTES:
        assert str(RelativePath.parse(text)) == expected


@given(st.text(max_size=300))
def test_whatever_is_accepted_is_safe_and_reads_what_it_writes(text: str) -> None:
    try:
        path = RelativePath.parse(text)
    except InvalidPathError:
        return
    assert RelativePath.parse(str(path)) == path
    for name in path.parts:
        assert name not in ("", ".", "..")
        assert "/" not in name
        assert "\0" not in name
        assert len(name.encode()) <= NAME_MAX_BYTES


@pytest.mark.parametrize("text", ["/", "/a", "a\0", "..", "a/../..", "\ud800", "x" * 256, "한" * 86, "a/" * 1600])
def test_what_is_no_path(text: str) -> None:
    with pytest.raises(InvalidPathError):
        RelativePath.parse(text)


def test_a_refusal_shows_what_was_given_safely() -> None:
    with pytest.raises(InvalidPathError) as caught:
        RelativePath.parse("../\ud800" + "x" * 1000)
    shown = str(caught.value.facts["path"])
    assert len(shown) <= 200
    shown.encode()


def test_parts_of_a_path() -> None:
    path = RelativePath.parse("a/b/c")
    assert (path.name, str(path.parent), str(path.parent.parent.parent)) == ("c", "a/b", ".")
    assert ROOT.is_root
    assert ROOT.parent == ROOT
    assert ROOT.name == ""
    assert path.is_within(RelativePath.parse("a"))
    assert path.is_within(path)
    assert path.is_within(ROOT)
    assert not path.is_within(RelativePath.parse("a/bc"))
    assert not RelativePath.parse("ab").is_within(RelativePath.parse("a"))
    assert str(RelativePath.parse("a") / RelativePath.parse("b/c")) == "a/b/c"


def test_joining_keeps_within_the_limits() -> None:
    long = RelativePath.parse("/".join(["x" * 200] * 10))
    with pytest.raises(InvalidPathError):
        long / long


def test_where_uploads_are_staged_is_reserved() -> None:
    for text, reserved in ((".upload", True), (".upload/x", True), ("a/.upload", False), (".uploads", False)):
        assert RelativePath.parse(text).is_reserved == reserved
    assert not ROOT.is_reserved


def test_a_new_name_is_one_name() -> None:
    path = RelativePath.parse("a/b")
    assert str(path.renamed("c")) == "a/c"
    for name in ("", ".", "..", "x/y", "x/", "/x", "../x", "x\0"):
        with pytest.raises(InvalidPathError):
            path.renamed(name)
    with pytest.raises(InvalidPathError):
        ROOT.renamed("x")
