"""How what runs in the machine that loses its power tells those outside."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

#: How each line begins that says what was asked for or told.
SAYS = "penstock-says"
_out = threading.Lock()


def say(*words: object) -> None:
    """Let those outside know, at once."""
    with _out:
        print(SAYS, *words, flush=True)


@contextmanager
def told_outside() -> Iterator[None]:
    """What goes wrong is told, whatever it is."""
    try:
        yield
    except Exception:  # noqa: BLE001
        say("failed", traceback.format_exc().replace("\n", " | "))
