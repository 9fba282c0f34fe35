"""A program that mounts or unmounts, while it runs.

What was killed is not waited for: a program that hangs in the kernel, or runs as somebody else (`sudo`), lives on.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Sequence
from contextlib import suppress
from subprocess import STDOUT
from typing import Final, cast

import anyio

#: How long what a program has said is waited for after its end; what it started may hold the pipe for ever.
_REST_SECONDS: Final = 1.0
_KEPT_BYTES: Final = 2000
_TOLD_LETTERS: Final = 500


class Running(asyncio.SubprocessProtocol):
    """A program that was started: what it says, and whether it has ended."""

    _transport: asyncio.SubprocessTransport

    def __init__(self) -> None:
        self._said = bytearray()
        self._ended = anyio.Event()
        self._silent = anyio.Event()

    @classmethod
    async def start(cls, command: Sequence[str]) -> Running:
        """Run a program with its arguments.

        Raises:
            OSError: it cannot be run.
        """
        loop = asyncio.get_running_loop()
        # Who is cancelled in here would wait until the program has ended.
        with anyio.CancelScope(shield=True):
            _, running = await loop.subprocess_exec(
                cls, *command, stdin=None, stderr=STDOUT, start_new_session=True
            )
        return running

    async def problem(self) -> str:
        """Wait until it has ended; returns what is wrong, empty if nothing is."""
        await self.end()
        with anyio.move_on_after(_REST_SECONDS):
            await self._silent.wait()
        code = self._transport.get_returncode()
        if not code:
            return ""
        return self._said.decode(errors="replace").strip()[:_TOLD_LETTERS] or f"exit code {code}"

    async def end(self) -> None:
        """Wait until it has ended, by itself or because it was left."""
        await self._ended.wait()

    def leave(self) -> None:
        """Kill it, and what it has started, if it has not ended; the event loop sees to what becomes of it."""
        if not self.has_ended:
            with suppress(PermissionError, ProcessLookupError):
                os.killpg(self._transport.get_pid(), signal.SIGKILL)
        # Python kills once more, and 3.11 tells if it may not.
        with suppress(PermissionError, ProcessLookupError):
            self._transport.close()

    @property
    def has_ended(self) -> bool:
        """Whether it has."""
        return self._ended.is_set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It was started."""
        self._transport = cast("asyncio.SubprocessTransport", transport)

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """It says something."""
        self._said += data[: _KEPT_BYTES - len(self._said)]

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        """It will say no more."""
        self._silent.set()

    def process_exited(self) -> None:
        """It has ended."""
        self._ended.set()
