"""Several processes that copy small files of one tree side by side; see `copier.py`."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Final, NamedTuple

import anyio
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

from backends.mounted.beneath import Beneath
from backends.mounted.copier import LENGTH, frame, parse
from backends.mounted.plain import PlainFile
from domain.errors import BackendUnavailableError, Subject
from domain.paths import RelativePath

#: Files of one request, so that the work can be shared out evenly.
_BATCH: Final = 200
_BROKEN: Final = (OSError, TimeoutError, anyio.EndOfStream, anyio.IncompleteRead, anyio.BrokenResourceError)


class Batch(NamedTuple):
    """Files of one directory."""

    path: RelativePath
    #: Where to, as a path from the volume's root.
    place: str
    files: list[PlainFile]


@dataclass(frozen=True, slots=True)
class Copied:
    """What became of a batch."""

    path: RelativePath
    files: int
    size_bytes: int
    #: What is left to be copied with more care.
    rest: Sequence[str]
    #: What went wrong with the first of them; 0: nothing.
    errno: int


class Copiers:
    """The processes.

    Args:
        timeout_seconds: longest time one batch may take.
    """

    def __init__(
        self, count: int, source: Beneath, mount: Beneath, *, shares: bool, timeout_seconds: float
    ) -> None:
        self._count = count
        self._fds = (source.fd, mount.fd)
        self._shares = shares
        self._timeout = timeout_seconds
        self._processes: list[Process] = []

    async def copy(self, batches: Sequence[Batch]) -> list[Copied]:
        """Copy all of it; the processes are started when they are needed first.

        Raises:
            BackendUnavailableError: a process is gone, or the storage does not answer it.
        """
        if not self._processes:
            for _ in range(self._count):
                self._processes.append(await self._start())
        waiting = _pieces(batches)
        found: list[Copied] = []
        broken: list[Exception] = []

        async def work(process: Process) -> None:
            try:
                for batch in waiting:
                    with anyio.fail_after(self._timeout):
                        found.append(await _ask(process, batch))
            except (
                OSError,
                TimeoutError,
                anyio.EndOfStream,
                anyio.IncompleteRead,
                anyio.BrokenResourceError,
            ) as error:
                broken.append(error)

        async with anyio.create_task_group() as tasks:
            for process in self._processes:
                tasks.start_soon(work, process)
        if broken:
            message = "a process that copies files is gone, or its storage does not answer"
            raise BackendUnavailableError(message, subject=Subject.VFOLDER) from broken[0]
        return found

    async def _start(self) -> Process:
        # -P: modules come from where we are installed, never from the directory we happen to be started in.
        flags = [str(fd) for fd in self._fds] + ["1" if self._shares else "0"]
        command = [sys.executable, "-P", "-m", "backends.mounted.copier", *flags]
        return await anyio.open_process(command, stderr=None, pass_fds=self._fds)

    async def close(self) -> None:
        """End them, whatever they are at."""
        async with AsyncExitStack() as stack:
            for process in self._processes:
                stack.push_async_callback(process.aclose)
                if process.returncode is None:
                    process.kill()
        self._processes = []


async def _ask(process: Process, batch: Batch) -> Copied:
    assert process.stdin is not None
    assert process.stdout is not None
    await process.stdin.send(frame((batch.path.parts, batch.place, [tuple(file) for file in batch.files])))
    answers = BufferedByteReceiveStream(process.stdout)
    (length,) = LENGTH.unpack(await answers.receive_exactly(LENGTH.size))
    files, size, rest, number = parse(await answers.receive_exactly(length))
    return Copied(batch.path, files, size, rest, number)


def _pieces(batches: Sequence[Batch]) -> Iterator[Batch]:
    for batch in batches:
        for start in range(0, len(batch.files), _BATCH):
            yield batch._replace(files=batch.files[start : start + _BATCH])
