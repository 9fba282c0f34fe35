"""Several processes that copy small files of one tree side by side; see `helping/main.py`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import anyio

from backends.mounted.beneath import Beneath
from backends.mounted.helpers import Helper
from backends.mounted.helping.plain import PlainFile
from domain.errors import BackendUnavailableError
from domain.paths import RelativePath

#: Files of one request, so that the work can be shared out evenly.
_BATCH: Final = 200


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
        self._helpers: list[Helper] = []

    async def copy(self, batches: Sequence[Batch]) -> list[Copied]:
        """Copy all of it; the processes are started when they are needed first.

        Raises:
            BackendUnavailableError: a process is gone, or the storage does not answer it.
        """
        while len(self._helpers) < self._count:
            self._helpers.append(self._start())
        waiting = _pieces(batches)
        found: list[Copied] = []
        broken: list[BackendUnavailableError] = []

        async def work(helper: Helper) -> None:
            try:
                found.extend([await _ask(helper, batch) for batch in waiting])
            except BackendUnavailableError as error:
                broken.append(error)

        async with anyio.create_task_group() as tasks:
            for helper in self._helpers:
                tasks.start_soon(work, helper)
        if broken:
            raise broken[0]
        return found

    def _start(self) -> Helper:
        return Helper("copy", self._fds, "1" if self._shares else "0", timeout_seconds=self._timeout)

    async def close(self) -> None:
        """End them, whatever they are at."""
        for helper in self._helpers:
            await helper.close()
        self._helpers = []


async def _ask(helper: Helper, batch: Batch) -> Copied:
    request = (batch.path.parts, batch.place, [tuple(file) for file in batch.files])
    files, size, rest, number = await helper.ask(request)
    return Copied(batch.path, files, size, rest, number)


def _pieces(batches: Sequence[Batch]) -> Iterator[Batch]:
    for batch in batches:
        for start in range(0, len(batch.files), _BATCH):
            yield batch._replace(files=batch.files[start : start + _BATCH])
