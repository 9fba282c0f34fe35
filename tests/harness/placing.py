"""Putting a small file at its place on the thread of a test, for a process that dies in the middle of it."""

from __future__ import annotations

from backends.mounted.changes import Change
from backends.mounted.outbox_parts import OutboxParts

#: Calls between which a process may die while it does that.
CALLS = ("open", "write", "pwritev", "setxattr", "link", "mkdir", "fdatasync", "unlink", "close")


def made(parts: OutboxParts, change: Change[bool]) -> bool:
    """Make a change, as `Changes` does, but here."""
    try:
        words = next(change)
        while words is None:
            words = next(change)
        change.send(parts.put_all([words])[0])
    except StopIteration as ended:
        return bool(ended.value)
    raise AssertionError("it has not ended")
