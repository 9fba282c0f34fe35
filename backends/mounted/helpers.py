"""A process that helps this one; see `helping/main.py`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import anyio
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

from backends.mounted.helping.main import LENGTH, frame, parse
from domain.errors import BackendUnavailableError, Subject

_BROKEN: Final = (OSError, TimeoutError, anyio.EndOfStream, anyio.IncompleteRead, anyio.BrokenResourceError)

#: What a helper runs. It needs nothing but Python's own modules and ours, which are where these are; looking for
#: others (`site`) takes as long as all else it loads.
_MAIN: Final = "import sys; sys.path.append(sys.argv[1]); from backends.mounted.helping.main import main; main()"
_PLACE: Final = str(Path(__file__).resolve().parents[2])


class Helper:
    """One process, started when it is asked first.

    Args:
        verb: what it does.
        fds: open directories it works on; they stay open here.
        words: what else it has to know.
        timeout_seconds: longest time one request may take.
    """

    def __init__(self, verb: str, fds: Sequence[int], *words: str, timeout_seconds: float) -> None:
        # -I: modules come from there, never from the directory we happen to be started in.
        self._command = [sys.executable, "-I", "-S", "-c", _MAIN, _PLACE, verb, *map(str, fds), *words]
        self._fds = tuple(fds)
        self._timeout = timeout_seconds
        self.process: Process | None = None

    async def ask(self, request: object) -> Any:
        """Have something done. One request at a time.

        Raises:
            BackendUnavailableError: the process is gone, or the storage does not answer it.
        """
        try:
            with anyio.fail_after(self._timeout):
                return await self._ask(request)
        except _BROKEN as error:
            message = "a helping process is gone, or the storage does not answer it"
            raise BackendUnavailableError(message, subject=Subject.VFOLDER) from error

    async def _ask(self, request: object) -> Any:
        if self.process is None:
            self.process = await anyio.open_process(self._command, stderr=None, pass_fds=self._fds)
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        await self.process.stdin.send(frame(request))
        answers = BufferedByteReceiveStream(self.process.stdout)
        (length,) = LENGTH.unpack(await answers.receive_exactly(LENGTH.size))
        return parse(await answers.receive_exactly(length))

    async def close(self) -> None:
        """End it, whatever it is at. Repeat-safe."""
        process, self.process = self.process, None
        if process is not None:
            with anyio.CancelScope(shield=True):
                if process.returncode is None:
                    process.kill()
                await process.aclose()
