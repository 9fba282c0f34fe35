"""What REDbot, which judges HTTP servers by the RFCs, has to say of downloads."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from harness.processes import Site

pytestmark = pytest.mark.timeout(120)

REDBOT = Path(sys.executable).with_name("redbot")
#: What it says of a resource that can be validated and asked for in parts.
WELL = (
    "The Content-Length header is correct.",
    "If-None-Match conditional requests are supported.",
    "A ranged request returned the correct partial content.",
)
#: What it says of what has a date: an archive has none, as it is made of many files.
DATED = "If-Modified-Since conditional requests are supported."
#: Words of its complaints.
ILL = re.compile(
    r"\b(incorrect|isn't|doesn't|not supported|invalid|unsupported|missing|bad|wrong|conflict|should)\b", re.I
)


@pytest.mark.parametrize("what", ["file", "archive"])
def test_it_finds_nothing_wrong(site: Site, what: str) -> None:
    site.api.upload("d/file.bin", os.urandom(300_000))
    url = site.api.download_url("d/file.bin" if what == "file" else "d")
    more = "&archive=1" if what == "archive" else ""
    done = subprocess.run(
        [REDBOT, "-o", "text", f"{site.api.client_url}{url}{more}"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    notes = re.findall(r"^  \* (.*)$", done.stdout, re.MULTILINE)
    assert set(WELL) <= set(notes), done.stdout
    assert (DATED in notes) is (what == "file"), done.stdout
    assert not any("Modified" in note for note in notes if note != DATED), done.stdout
    assert [note for note in notes if ILL.search(note)] == []
