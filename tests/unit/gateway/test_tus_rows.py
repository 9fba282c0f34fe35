"""What the documentation says is asked of uploads and downloads, and the tests that ask it."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
#: A line of marks, which has to stand right above what it marks.
MARKS = re.compile(r"^# ((?:\[[A-DR][0-9]+\] ?)+)\n(?=@|(?:async )?def test_)", re.MULTILINE)


def marked(text: str) -> set[str]:
    """Rows that the tests of a file name."""
    return {row for line in MARKS.findall(text) for row in re.findall(r"[A-DR][0-9]+", line)}


def test_every_row_has_a_test_and_every_test_a_row() -> None:
    text = "".join((ROOT / "docs" / name).read_text() for name in ("wire.md", "downloads.md"))
    rows = re.findall(r"^\| ((?:[A-DR][0-9]+(?:, )?)+) \|", text, re.MULTILINE)
    told = {row for found in rows for row in found.split(", ")}
    assert told == {row for path in (ROOT / "tests").rglob("test_*.py") for row in marked(path.read_text())}
    assert len(told) == 69


def test_a_mark_stands_above_its_test() -> None:
    above = "# [A1] [D2]\n@pytest.mark.anyio\nasync def test_a():\n    pass\n\n\n# [R3]\ndef test_b():\n"
    assert marked(above) == {"A1", "D2", "R3"}
    for nothing in (
        "# [A1]\n\n\ndef test_a() -> None:\n",
        "# [A1]\nDATA = 1\n",
        "#: [A1]\ndef test_a() -> None:\n",
    ):
        assert not marked(nothing)
