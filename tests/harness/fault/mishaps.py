"""What happens inside an actor of a fault run: system calls that fail, and deaths at chosen steps."""

from __future__ import annotations

import errno
import os
import random
import signal
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext, suppress
from hashlib import sha1
from pathlib import Path
from typing import Any

from harness.fault.plan import Plan

from backends.mounted import durable, folders, removal, scopes, trash
from backends.mounted.durable import rename_exclusive
from backends.mounted.fence import Fence
from bus.streams import scripts
from bus.streams.lanes import StreamLane
from bus.streams.upkeep import StreamUpkeep

#: What system calls say that fail.
_ERRORS = (errno.EIO, errno.ENOSPC, errno.EDQUOT)
#: Calls that change a volume. Those before them only look.
_CHANGES = ("mkdir", "rename", "fsync", "fdatasync", "setxattr", "write", "unlink", "rmdir")
#: How some fail after they took effect, as over a network, or where room is taken late.
_LATE = {"mkdir": (errno.EIO,), "rename": (errno.EIO,), "fsync": _ERRORS}


def install(plan: Plan, node: str) -> None:
    """Have this process suffer what the plan says, whenever it says so."""
    if "fence" in plan.without:
        Fence.path = _unfenced  # type: ignore[method-assign]
    if "clocks" in plan.without:
        _believe_in_clocks()
    for clock, second in (("time", 1), ("time_ns", 10**9)):
        setattr(time, clock, _stepped(plan.offset(node), getattr(time, clock), second))
    for name in _CHANGES:
        setattr(os, name, _unsure(plan, node, name, getattr(os, name)))
    if "completing" in plan.without:
        for module in (durable, removal, scopes, trash):
            module.completing = nullcontext  # type: ignore[attr-defined]
    for module in (folders, scopes):
        module.rename_exclusive = _unsure(plan, node, "rename", rename_exclusive)  # type: ignore[attr-defined]
    for kind, name, step in (
        (StreamLane, "receive", "received"),
        (StreamLane, "commit", "committed"),
        (StreamUpkeep, "trim", "trimmed"),
    ):
        setattr(kind, name, _deadly(plan, step, getattr(kind, name)))


def _stepped(offset: Path, clock: Callable[[], Any], second: int) -> Callable[[], Any]:
    """A wall clock that somebody sets."""

    def wrapped() -> Any:
        try:
            return clock() + int(float(offset.read_text() or 0) * second)
        except FileNotFoundError:
            return clock()

    return wrapped


def die_at(plan: Plan, step: str) -> None:
    """Die here if somebody is to; each order is for one process."""
    try:
        if plan.death.read_text() != step:
            return
        plan.death.unlink()
    except FileNotFoundError:
        return
    os.kill(os.getpid(), signal.SIGKILL)


def _deadly(plan: Plan, step: str, method: Callable[..., Any]) -> Callable[..., Any]:
    async def wrapped(self: object, *args: Any, **kwargs: Any) -> Any:
        result = await method(self, *args, **kwargs)
        die_at(plan, step)
        return result

    return wrapped


def _believe_in_clocks() -> None:
    """Have scripts take every time for what it says, though the clock may have been set back since."""
    for name, good, bad in (
        ("acquire", "if left > longest then", "if false then"),
        ("members", "'(' .. now, '+inf'", "'+inf', '+inf'"),
    ):
        source = scripts._SOURCES[name]
        assert good in source
        scripts._SOURCES[name] = source.replace(good, bad)
        scripts._DIGESTS[name] = sha1(scripts._SOURCES[name].encode(), usedforsecurity=False).hexdigest()


def _unfenced(self: Fence, epoch: int, name: str) -> str:
    """Where everybody makes things ready, whoever the owner is."""
    return f"{self._area}/lost/{name}"


def _wait(plan: Plan, node: str) -> None:
    """Wait while the volume does not answer this actor, or is slow."""
    with suppress(FileNotFoundError):
        time.sleep(random.random() * float(plan.slow.read_text()))
    with suppress(FileNotFoundError):
        while plan.hung.read_text() == node:
            time.sleep(0.01)


def _unsure(plan: Plan, node: str, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        if threading.current_thread() is threading.main_thread():
            return call(*args, **kwargs)
        _wait(plan, node)
        if name == "rename":
            die_at(plan, "before-rename")
        fails = random.random() < plan.failing and plan.trouble.exists()
        if fails and random.random() < 0.5:
            raise _error(random.choice(_ERRORS))
        result = call(*args, **kwargs)
        if name == "rename":
            die_at(plan, "after-rename")
        if fails and name in _LATE:
            raise _error(random.choice(_LATE[name]))
        return result

    return wrapped


def _error(number: int) -> OSError:
    return OSError(number, os.strerror(number))
