"""A process that dies at a certain system call, for what has to be left behind in order."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Sequence
from typing import Any

#: Told by a process that outlived what it did.
SURVIVED = 7


def dies_at(call: int, names: Sequence[str], work: Callable[[], object]) -> bool:
    """Do something in a process of its own that dies before the so manieth of some calls of `os`, as by kill -9.

    Returns False if there are not so many: then it was done.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forks: nothing here depends on other threads
        pid = os.fork()
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
