"""Name of the attribute that says which operation made a directory; see `marker.py`."""

from __future__ import annotations

MARK = "user.penstock.op"
