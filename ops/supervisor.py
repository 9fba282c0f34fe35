"""Keeps processes running: starts them again when they die, stops them in order.

Rules: a child gets its own session, so that Ctrl-C reaches only the supervisor; a child ends when the supervisor
is gone, even by kill -9; one that dies at once again and again is started ever more slowly.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Final

import anyio
from anyio.abc import Process, TaskGroup
from loguru import logger
from prometheus_client.multiprocess import mark_process_dead

#: Life after which a process counts as having started well, in seconds.
_WELL_SECONDS: Final = 10.0
_FIRST_PAUSE_SECONDS: Final = 0.2
_LONGEST_PAUSE_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Program:
    """A process to keep running."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    #: How long it may take to stop before it is killed, in seconds.
    patience_seconds: float = 45.0


def penstock(role: str, config: Path | None, environment: Mapping[str, str], name: str = "") -> Program:
    """One role of Penstock as a child process."""
    options = ["--config", str(config)] if config else []
    command = [sys.executable, "-m", "ops.cli", role, *options, "--child", str(os.getpid())]
    return Program(name or role, command, environment)


class Supervisor:
    """Runs programs in order, stops them in the other."""

    def __init__(self) -> None:
        self._running: dict[str, Process] = {}
        self._stopping = False

    async def keep(self, program: Program, tasks: TaskGroup) -> None:
        """Start a program and keep it running beside."""
        process = await self._start(program)
        tasks.start_soon(self._watch, program, process)

    def send(self, number: signal.Signals) -> None:
        """Send a signal to every program."""
        for process in self._running.values():
            with suppress(ProcessLookupError):
                process.send_signal(number)

    async def stop(self, programs: Sequence[Program]) -> None:
        """Stop programs, the last started first; processes of one command stop together."""
        self._stopping = True
        for _, alike in groupby(reversed(programs), key=lambda program: tuple(program.command)):
            async with anyio.create_task_group() as tasks:
                for program in alike:
                    if program.name in self._running:
                        tasks.start_soon(_end, self._running[program.name], program.patience_seconds)

    async def _start(self, program: Program) -> Process:
        process = await anyio.open_process(
            program.command,
            stdin=None,
            stdout=None,
            stderr=None,
            env={**os.environ, **program.environment},
            start_new_session=True,
        )
        self._running[program.name] = process
        return process

    async def _watch(self, program: Program, process: Process) -> None:
        pause = _FIRST_PAUSE_SECONDS
        while True:
            started = anyio.current_time()
            code = await process.wait()
            _forget_metrics(process.pid)
            if self._stopping:
                return
            if anyio.current_time() - started > _WELL_SECONDS:
                pause = _FIRST_PAUSE_SECONDS
            logger.warning("{} ended with {}; starting it again in {:.1f} s", program.name, code, pause)
            await anyio.sleep(pause)
            if self._stopping:
                return
            pause = min(_LONGEST_PAUSE_SECONDS, pause * 2)
            process = await self._start(program)


async def _end(process: Process, patience_seconds: float) -> None:
    with suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
    with anyio.move_on_after(patience_seconds):
        await process.wait()
        return
    with suppress(ProcessLookupError):
        process.kill()
    await process.wait()


def _forget_metrics(pid: int) -> None:
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        mark_process_dead(pid)  # type: ignore[no-untyped-call]
