"""A volume with a folder that has one of everything."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from harness.trees import SOURCE, op, open_vfs

from backends.observer import SilentObserver
from backends.registry import Site
from backends.settings import ThreadSettings
from backends.vfs.volume import VfsVolume
from domain.ids import VolumeName


@pytest.fixture
async def volume(tmp_path: Path) -> AsyncIterator[VfsVolume]:
    site = Site(VolumeName("disk"), {"path": str(tmp_path)}, ThreadSettings(), SilentObserver())
    async with open_vfs(site) as volume:
        assert isinstance(volume, VfsVolume)
        await volume.take_over(1)
        assert SOURCE.scope is not None
        await volume.ensure_scope(op(), SOURCE.scope)
        await volume.create_folder(op(), SOURCE, 0o750)
        yield volume


@pytest.fixture
def source(volume: VfsVolume, tmp_path: Path) -> Path:
    """A folder with one of everything."""
    root = tmp_path.joinpath(*SOURCE.directory)
    (root / "deep/er").mkdir(parents=True)
    (root / "deep/er/a.bin").write_bytes(os.urandom(3_000_000))
    (root / "한글.txt").write_text("hello")
    (root / "empty").write_bytes(b"")
    (root / "hard").hardlink_to(root / "한글.txt")
    (root / "dangling").symlink_to("nowhere")
    (root / "inside").symlink_to("deep/er")
    with (root / "sparse").open("wb") as file:
        file.seek(20 << 20)
        file.write(b"end")
    os.setxattr(root / "empty", "user.colour", b"blue")
    os.mkfifo(root / "fifo")
    (root / ".upload").mkdir()
    (root / ".upload/0").write_bytes(b"unfinished")
    (root / "deep/er/a.bin").chmod(0o640)
    os.utime(root / "deep/er/a.bin", ns=(1_600_000_000_250_000_000, 1_600_000_000_250_000_000))
    os.utime(root / "deep", ns=(1_500_000_000_000_000_000, 1_500_000_000_000_000_000))
    return root
