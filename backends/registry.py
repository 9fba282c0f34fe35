"""Finds drivers by name. A driver announces itself as an entry point of the group `penstock.backends`.

The entry point is a `Driver`; installing a package that has one is all it takes to add a backend.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any, Final, TypeVar

import anyio
from pydantic import BaseModel, ValidationError

from backends.contract import Volume
from backends.observer import BackendObserver
from backends.settings import ThreadSettings, VolumeSettings
from backends.threads import VolumeThreads
from domain.errors import InvalidRequestError
from domain.ids import VolumeName

GROUP: Final = "penstock.backends"

M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Site:
    """What a driver is given to build one volume."""

    name: VolumeName
    options: Mapping[str, Any]
    io: ThreadSettings
    observer: BackendObserver

    def parse(self, model: type[M]) -> M:
        """Read the driver's own keys.

        Raises:
            InvalidRequestError: a key is missing, unknown or wrong; the message names it.
        """
        try:
            return model.model_validate(dict(self.options))
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            key = ".".join(("volumes", self.name, *(str(part) for part in first["loc"])))
            raise InvalidRequestError(f"{key}: {first['msg']}", field=key) from error

    def threads(self) -> VolumeThreads:
        """Threads for the volume's blocking calls."""
        return VolumeThreads(
            self.name,
            self.observer,
            threads=self.io.threads,
            waiting=self.io.waiting,
            timeout_seconds=self.io.timeout_seconds,
            scans=self.io.scans,
            helpers=self.io.helpers,
        )


@dataclass(frozen=True, slots=True)
class Driver:
    """A kind of storage: what can be set about a volume of it, and how one is opened."""

    settings: type[BaseModel]
    open: Callable[[Site], AbstractAsyncContextManager[Volume]]


def drivers() -> list[str]:
    """Names of the installed drivers."""
    return sorted({point.name for point in entry_points(group=GROUP)})


def driver(name: str) -> Driver:
    """Load a driver.

    Raises:
        InvalidRequestError: none of that name is installed.
    """
    for point in entry_points(group=GROUP, name=name):
        found: Driver = point.load()
        return found
    known = ", ".join(drivers()) or "none"
    raise InvalidRequestError(f"no backend named {name!r} is installed (there are: {known})", field="backend")


@asynccontextmanager
async def open_volumes(
    settings: Mapping[VolumeName, VolumeSettings], observer: BackendObserver
) -> AsyncIterator[Mapping[VolumeName, Volume]]:
    """Build all configured volumes; close them at the end.

    Raises:
        InvalidRequestError: a volume's configuration is wrong.
        BackendUnavailableError, BackendFaultError: a volume cannot be opened.
    """
    async with AsyncExitStack() as stack:
        volumes: dict[VolumeName, Volume] = {}
        for name, volume in settings.items():
            site = Site(name, volume.options, volume.io, observer)
            # Looking for drivers reads the installed packages' metadata from disk.
            found = await anyio.to_thread.run_sync(driver, volume.backend)
            volumes[name] = await stack.enter_async_context(found.open(site))
        yield volumes
