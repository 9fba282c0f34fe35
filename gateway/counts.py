"""Counting folders for those who ask, who will not wait for ever.

A count that takes too long goes on, and whoever asked gets what was counted last, with its age. Several who ask for
the same folder wait for the same count.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import anyio
from anyio.abc import TaskGroup
from loguru import logger

from backends.contract import Volume
from bus.contract import Bus
from domain.catalogue import counted_usage, usage_record
from domain.errors import BusyError, InternalError, PenstockError
from domain.ids import VFolderId, VolumeName
from domain.usage import Usage

#: Counts that go on at once, at most.
_MOST: Final = 64
#: When somebody may ask again for whom there is nothing yet, in seconds.
_RETRY_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Counted:
    """What a folder holds."""

    usage: Usage
    #: How long ago that was counted; 0: just now.
    age_seconds: float = 0.0


@dataclass(slots=True)
class _Running:
    """A count that goes on."""

    over: anyio.Event = field(default_factory=anyio.Event)
    usage: Usage | None = None
    error: PenstockError | None = None


class Counts:
    """Counts of one gateway.

    Args:
        wait_seconds: how long somebody waits for one.
    """

    def __init__(self, bus: Bus, volumes: Mapping[VolumeName, Volume], wait_seconds: float) -> None:
        self._bus = bus
        self._volumes = volumes
        self._wait = wait_seconds
        self._running: dict[tuple[VolumeName, VFolderId], _Running] = {}
        self._tasks: TaskGroup | None = None

    async def run(self) -> None:
        """Be there for counts, for ever; without it there are none."""
        async with anyio.create_task_group() as tasks:
            self._tasks = tasks
            await anyio.sleep_forever()

    async def usage(self, volume: VolumeName, folder: VFolderId) -> Counted:
        """What a folder holds, unfinished uploads included.

        Raises:
            NotFoundError: it is not there.
            BusyError: it takes long, and was never counted before; or too many are counted.
        """
        running = self._running.get((volume, folder)) or self._begin(volume, folder)
        with anyio.move_on_after(self._wait):
            await running.over.wait()
        if running.error is not None:
            raise running.error
        if running.usage is not None:
            return Counted(running.usage)
        return await self._last(volume, folder)

    def _begin(self, volume: VolumeName, folder: VFolderId) -> _Running:
        if self._tasks is None or len(self._running) >= _MOST:
            raise BusyError("too many folders are being counted", retry_after_seconds=_RETRY_SECONDS)
        running = self._running[volume, folder] = _Running()
        self._tasks.start_soon(self._count, volume, folder, running)
        return running

    async def _count(self, volume: VolumeName, folder: VFolderId, running: _Running) -> None:
        try:
            running.usage = await self._volumes[volume].usage(folder)
        except PenstockError as error:
            running.error = error
        except Exception:  # noqa: BLE001  a defect is told to those who wait, and ends nothing else
            logger.exception("counting {} on {} failed by a defect", folder, volume)
            running.error = InternalError("an internal error; the log has the details")
        finally:
            del self._running[volume, folder]
            running.over.set()

    async def _last(self, volume: VolumeName, folder: VFolderId) -> Counted:
        (fields,) = await self._bus.catalogue.fields([usage_record(folder, volume)])
        known = fields or {}
        usage = counted_usage(known)
        if usage is None:
            message = "the folder is being counted; that takes longer than can be waited for"
            raise BusyError(message, retry_after_seconds=_RETRY_SECONDS)
        return Counted(usage, max(0.0, self._bus.clock.now() - float(known["measured"])))
