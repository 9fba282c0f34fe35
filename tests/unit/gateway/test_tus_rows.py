"""What the documentation says a server of resumable uploads is asked, and the tests that ask it."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_every_row_has_a_test_and_every_test_a_row() -> None:
    rows = re.findall(r"^\| ((?:[A-CR][0-9]+(?:, )?)+) \|", (ROOT / "docs" / "wire.md").read_text(), re.MULTILINE)
    told = {row for found in rows for row in found.split(", ")}
    marks = re.compile(r"^# (?:\[[A-CR][0-9]+\] ?)+$", re.MULTILINE)
    marked = [line for path in (ROOT / "tests").rglob("test_*.py") for line in marks.findall(path.read_text())]
    tested = {row for line in marked for row in re.findall(r"\[([A-CR][0-9]+)\]", line)}
    assert told == tested
    assert len(told) == 50
