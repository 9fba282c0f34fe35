"""The vfs backend passes the backends' suite, with the kernel's path resolution and with ours."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from backends.conformance import BackendConformance
from backends.contract import Volume
from backends.mounted import beneath
from backends.mounted.helping.resolving import WalkingResolver
from backends.observer import SilentObserver
from backends.registry import Site, driver
from backends.settings import ThreadSettings
from domain.ids import VolumeName

open_vfs = driver("vfs").open


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[Volume]:
    site = Site(VolumeName("disk"), {"path": str(path)}, ThreadSettings(threads=4), SilentObserver())
    async with open_vfs(site) as volume:
        yield volume


@pytest.mark.anyio
class TestVfsVolume(BackendConformance):
    @pytest.fixture(autouse=True)
    def folder(self, tmp_path: Path) -> None:
        self._path = tmp_path

    def open_volume(self):
        return opened(self._path)


class TestVfsVolumeWithoutOpenat2(TestVfsVolume):
    @pytest.fixture(autouse=True)
    def walking(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(beneath, "best_resolver", WalkingResolver)


class TestVfsVolumeWithoutAttributes(TestVfsVolume):
    @pytest.fixture(autouse=True)
    def no_attributes(self, monkeypatch: pytest.MonkeyPatch) -> None:
        import errno
        import os

        def refuse(*_: object) -> bytes:
            raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))

        monkeypatch.setattr(os, "setxattr", refuse)
        monkeypatch.setattr(os, "getxattr", refuse)
