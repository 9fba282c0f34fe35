"""Directories that several hosts have."""

from __future__ import annotations

import os
from pathlib import Path


def elsewhere(path: Path) -> Path:
    """A directory as another host has it.

    Where there is one, `ELSEWHERE=/mnt/a:/mnt/b` says that what lies in the one mount lies in the other; else this
    host is the other one as well.
    """
    here, _, there = os.environ.get("ELSEWHERE", ":").partition(":")
    return Path(there) / path.relative_to(here) if here and path.is_relative_to(here) else path
