"""Several processes of one role, sharing its ports."""

from __future__ import annotations

import os
import signal
import tempfile
from pathlib import Path

import anyio

from ops.log import configure
from ops.settings import Settings
from ops.supervisor import Supervisor, penstock


def run_supervised(settings: Settings, role: str, config: Path | None, processes: int) -> int:
    """Keep processes running until SIGTERM or SIGINT, and pass SIGHUP on to them; returns the exit code."""
    configure(settings.log, role)
    with tempfile.TemporaryDirectory(prefix="penstock-metrics-") as metrics:
        os.environ.setdefault("PROMETHEUS_MULTIPROC_DIR", metrics)
        anyio.run(_supervise, role, config, processes)
    return 0


async def _supervise(role: str, config: Path | None, processes: int) -> None:
    supervisor = Supervisor()
    programs = [penstock(role, config, {}, name=f"{role}-{number}") for number in range(processes)]
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
        async with anyio.create_task_group() as tasks:
            for program in programs:
                await supervisor.keep(program, tasks)
            async for number in signals:
                if number != signal.SIGHUP:
                    break
                supervisor.send(number)
            await supervisor.stop(programs)
            tasks.cancel_scope.cancel()
