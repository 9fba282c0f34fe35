"""Which start of which host this is: what a process wrote and did not sync outlives the process, but not that."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final
from uuid import uuid4

#: Linux's own name for the time since it was started (random(4)).
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


@cache
def boot_id() -> bytes:
    """An id of this host's present start; where the kernel tells none, of this process."""
    try:
        return _BOOT_ID.read_bytes().strip()
    except OSError:
        return uuid4().hex.encode()
