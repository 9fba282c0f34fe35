"""Name of the attribute that says which operation made a directory; see `marker.py`."""

from __future__ import annotations

from typing import Final

MARK: Final = "user.penstock.op"
