"""Running one role as a process: event loop, signals, logs."""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import sys
from collections.abc import Callable
from typing import Final

import anyio
from loguru import logger

from domain.errors import PenstockError
from ops.generations import Generations, Role, leaves
from ops.log import configure
from ops.settings import Settings

_PR_SET_PDEATHSIG: Final = 1
#: Parameters of mallopt(3), and the size up to which freed memory is kept, in bytes.
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_KEPT_BYTES: Final = 32 << 20


def run(role: Role, name: str, settings: Settings, read: Callable[[], Settings]) -> int:
    """Run a role until SIGTERM or SIGINT; returns the exit code.

    Args:
        read: reads the settings anew. Raises PenstockError where they make no sense.
    """
    configure(settings.log, name)
    _keep_freed_memory()
    _spare_what_is_imported()
    failures: list[BaseException] = []
    try:
        anyio.run(Generations(role, name, read).run, settings, backend_options={"use_uvloop": _has_uvloop()})
    except* PenstockError as group:
        failures = leaves(group)
    for error in failures:
        logger.error("{} cannot go on: {}", name, error)
    return 1 if failures else 0


def _keep_freed_memory() -> None:
    """Have glibc reuse the buffers of transfers.

    By default it gives each back to the kernel and asks for it again, page by page: a seventh of an upload's time.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _KEPT_BYTES)
        mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)


def _spare_what_is_imported() -> None:
    """Have Python not search modules for cycles: they stay, and each full search takes 55 ms for them."""
    gc.freeze()


def _has_uvloop() -> bool:
    """Whether the optional extra is installed."""
    if os.environ.get("PENSTOCK_NO_UVLOOP"):
        return False
    try:
        import uvloop
    except ImportError:
        return False
    return bool(uvloop)


def end_with_parent(supervisor: int) -> None:
    """Have the kernel send SIGTERM when the supervisor is gone, even by kill -9.

    Args:
        supervisor: its process id; it may have died before the kernel could be asked.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != supervisor:
        sys.exit("the supervisor is gone")
