"""Names in ZIP archives: safe for every program, no two alike, and those that were safe as they were."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.archive.names import safe_names, shown

WINDOWS = set('"*:<>?\\|')
parts = st.text(
    st.sampled_from('ab.%~:\\ \n\x85\udce9é한\U0001f600/"')
    | st.characters(exclude_categories=["Cs"], exclude_characters="\0")
).map(lambda text: text.replace("/", "").replace("\0", "") or "x")
trees = st.lists(
    st.lists((parts | st.sampled_from(["con", "a:b", "a%3Ab", "NUL.txt", "a", "a."])), min_size=1, max_size=4)
)


def members(paths: list[list[str]]) -> list[str]:
    """Names as a walk finds them: a path is a file or a directory, and an empty directory ends on a slash."""
    found = sorted({tuple(path) for path in paths})
    return [
        "/".join(path) for path in found if not any(other != path and other[: len(path)] == path for other in found)
    ]


@given(trees, st.sets(st.integers(0, 20)))
@example([["a:b", "x"], ["a%3Ab", '"']], set())
def test_names_are_safe_and_no_two_alike(paths: list[list[str]], empty: set[int]) -> None:
    names = [name + ("/" if number in empty else "") for number, name in enumerate(members(paths))]
    changed = safe_names(names)
    safe = [changed.get(name, name) for name in names]
    assert len({name.rstrip("/") for name in safe}) == len(names)
    for name, made in zip(names, safe, strict=True):
        assert made.endswith("/") == name.endswith("/")
        assert made.count("/") == name.count("/")
        made.encode()
        for part in made.rstrip("/").split("/"):
            assert 0 < len(part.encode()) <= 255 or part in name.split("/")
            assert not WINDOWS & set(part)
            assert part[-1] not in ". "
            assert part.partition(".")[0].rstrip(" ").casefold() not in ("con", "nul", "aux", "prn", "com1", "lpt1")
            assert not any(ord(sign) < 32 or 127 <= ord(sign) < 160 for sign in part)
    # What lies in one directory lies in one directory.
    above = {name.rpartition("/")[0]: made.rpartition("/")[0] for name, made in zip(names, safe, strict=True)}
    assert len(set(above.values())) == len(above)


def test_names_that_are_safe_stay_as_they_are() -> None:
    names = ["a", "100%.txt", "d/.hidden", "d/...x", "console/comet", "한글/é 1 (2)", "~", "com10", "d/", "a%3Ab"]
    assert safe_names(names) == {}


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("a:b", "a%3Ab"),
        ("d/50%?", "d/50%25%3F"),
        ("d\\e/f", "d%5Ce/f"),
        ("line\nbreak", "line%0Abreak"),
        ("caf\udce9", "caf%E9"),
        ("\x85", "%C2%85"),
        ("end.", "end%2E"),
        ("end /x", "end%20/x"),
        ("Con.tar.gz", "%43on.tar.gz"),
        ("d/lpt³", "d/%6Cpt³"),
        ("q?/", "q%3F/"),
    ],
)
def test_names_that_are_not_safe(name: str, safe: str) -> None:
    assert safe_names([name, "other"]) == {name: safe}


def test_a_name_that_is_taken_is_not_given_away() -> None:
    names = ["a%3Ab", "a%3Ab~1/x", "a:b", "d%3A/x", "d:/x", "d:/y", "e/1%3A", "e/1:", "e:/1"]
    assert safe_names(names) == {
        "a:b": "a%3Ab~2",
        "d:/x": "d%3A~1/x",
        "d:/y": "d%3A~1/y",
        "e/1:": "e/1%3A~1",
        "e:/1": "e%3A/1",
    }


def test_long_names_stay_apart() -> None:
    first, second = ("\\" * 254 + end for end in "ab")
    made = safe_names([first, second])
    assert made[first] != made[second]
    assert all(len(name.encode()) <= 255 for name in made.values())


def test_names_as_people_read_them() -> None:
    assert shown("a:\\b\n\udce9한") == "a:\\b%0A%E9한"
