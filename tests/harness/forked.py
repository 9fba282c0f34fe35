"""Processes that begin where everything is imported: a fork each, instead of a second of processor time.

What starts a process as a user does is tested where processes are started by their command line.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path

#: What takes long to import, in any of them.
_IMPORTED = (
    "ops.cli",
    "ops.roles.gateway",
    "ops.roles.actor",
    "ops.roles.worker",
    "ops.roles.bridge",
    "ops.roles.archive",
    "backends.vfs",
    "uvloop",
)

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(list(_IMPORTED))


class Forked:
    """One of them, as `subprocess.Popen` would have it."""

    def __init__(
        self, module: str, words: Sequence[str], environment: Mapping[str, str], log: Path, out: Path | None = None
    ) -> None:
        """Run `main()` of a module with words of a command line.

        Args:
            log: what it says goes to its end.
            out: where its standard output goes, if not there.
        """
        self._lock = threading.Lock()
        arguments = (module, list(words), dict(environment), (str(out or log), str(log)))
        self._process: BaseProcess = _context.Process(target=_run, args=arguments, daemon=True)
        self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid

    @property
    def returncode(self) -> int | None:
        """Its exit code, or minus the signal that ended it; None: it runs."""
        with self._lock:  # two who ask at once would each read half of the answer
            return self._process.exitcode

    def poll(self) -> int | None:
        """Whether it has ended, and how."""
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end. Raises subprocess.TimeoutExpired."""
        wait([self._process.sentinel], timeout)
        code = self.returncode
        if code is None:
            raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
        return code

    def send_signal(self, number: int) -> None:
        """Send a signal, if it still runs."""
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def _run(module: str, words: list[str], environment: dict[str, str], logs: tuple[str, str]) -> None:
    for number, path in enumerate(logs, 1):
        log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(log, number)
        os.close(log)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = [module, *words]
    try:
        import_module(module).main()
    finally:
        atexit._run_exitfuncs()  # as an interpreter does that ends: logs are written out
