"""A process that dies at a certain system call, for what has to be left behind in order."""

from __future__ import annotations

import os
import signal
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

#: Told by a process that outlived what it did.
SURVIVED = 7


def dies_at(call: int, names: Sequence[str], work: Callable[[], object]) -> bool:
    """Do something in a process of its own that dies before the so manieth of some calls of `os`, as by kill -9.

    Returns False if there are not so many: then it was done.
    """
    pid = _fork()
    if pid == 0:
        try:
            _count(call, names)
            work()
            os._exit(SURVIVED)
        finally:
            os._exit(1)
    _, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    assert code in (0, SURVIVED), "it failed instead of dying"
    return code == 0


@contextmanager
def child_that(has_done: Callable[[], object]) -> Iterator[int]:
    """A process that has done something, keeps what came of it, and is killed at the end of the block; its id."""
    ready, told_ready = os.pipe()
    pid = _fork()
    if pid == 0:
        try:
            kept = has_done()
            os.write(told_ready, b".")
            signal.pause()
            del kept
        finally:
            os._exit(1)
    os.close(told_ready)
    try:
        assert os.read(ready, 1) == b".", "it failed"
        yield pid
    finally:
        os.close(ready)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _fork() -> int:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # nothing here depends on other threads
        return os.fork()


def _count(call: int, names: Sequence[str]) -> None:
    left = call

    def dying(real: Callable[..., object]) -> Callable[..., object]:
        def counted(*args: Any, **kwargs: Any) -> object:
            nonlocal left
            left -= 1
            if left == 0:
                os._exit(0)
            return real(*args, **kwargs)

        return counted

    for name in names:
        setattr(os, name, dying(getattr(os, name)))
