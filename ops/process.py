"""Running one role as a process: event loop, signals, logs."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Final

import anyio
from loguru import logger

from domain.errors import PenstockError
from ops.log import configure
from ops.settings import Settings

Role = Callable[[Settings, anyio.Event], Awaitable[None]]

_PR_SET_PDEATHSIG: Final = 1


def run(role: Role, name: str, settings: Settings) -> int:
    """Run a role until SIGTERM or SIGINT; returns the exit code."""
    configure(settings.log, name)
    failures: list[BaseException] = []
    try:
        anyio.run(_until_signalled, role, settings, backend_options={"use_uvloop": _has_uvloop()})
    except* PenstockError as group:
        failures = _leaves(group)
    for error in failures:
        logger.error("{} cannot go on: {}", name, error)
    return 1 if failures else 0


async def _until_signalled(role: Role, settings: Settings) -> None:
    stop = anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_set_on_signal, stop)
        await role(settings, stop)
        tasks.cancel_scope.cancel()


async def _set_on_signal(stop: anyio.Event) -> None:
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for _ in signals:
            stop.set()


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    found: list[BaseException] = []
    for error in group.exceptions:
        found += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found


def _has_uvloop() -> bool:
    """Whether the optional extra is installed."""
    if os.environ.get("PENSTOCK_NO_UVLOOP"):
        return False
    try:
        import uvloop
    except ImportError:
        return False
    return bool(uvloop)


def end_with_parent() -> None:
    """Have the kernel send SIGTERM when the supervisor is gone, even by kill -9."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
